import { errorsOf } from '@reflash/core'

/** Every code that transport-http throws or answers. docs/errors.md is generated from this table. */
export const httpErrors = {
  UNKNOWN_PATH: {
    fault: 'invalid',
    means: 'No route of this server has this path.',
    next: 'Look at the address (devices and operators have one each), at the dialects that the server speaks, and at its prefix.',
  },
  METHOD_NOT_ALLOWED: {
    fault: 'invalid',
    means: 'The path exists, but not for this method.',
    next: 'Use one of the methods that the header Allow names.',
  },
  INVALID_PATH: {
    fault: 'invalid',
    means: 'A part of the path cannot be read: broken percent-encoding, an offer that is no positive number, a component of other letters.',
    next: 'Use the URLs that the server tells at check-in.',
  },
  INVALID_DEVICE_ID: {
    fault: 'invalid',
    means: 'A device id is empty, too long, or holds other letters than A-Z a-z 0-9 . _ : + = @ -, or begins with one of the signs.',
    next: 'Give the device an id of 1 to 128 of these letters.',
  },
  INVALID_QUERY: {
    fault: 'invalid',
    means: 'The query lacks a parameter, names it twice, or has broken percent-encoding.',
    next: 'Correct the parameter that the message names.',
  },
  INVALID_BODY: {
    fault: 'invalid',
    means: 'The body is not the JSON document that the protocol describes.',
    next: 'Correct the member that the message names.',
  },
  BODY_TOO_LARGE: {
    fault: 'invalid',
    means: 'The body of a request is larger than its limit.',
    next: 'Send less, or raise the limit that the message names.',
  },
  UNSUPPORTED_CONTENT: {
    fault: 'invalid',
    means: 'The body of a request has another media type than application/json, or a content coding.',
    next: 'Send plain JSON.',
  },
  REQUEST_CUT: {
    fault: 'aborted',
    means: 'The client went away before its request or the answer was complete.',
    next: 'Nothing on the server: the device comes again.',
  },
  NOT_AUTHENTICATED: {
    fault: 'rejected',
    means:
      'Nobody at this address is known by what the caller showed: a device by its authenticators, an operator by the tokens of operators.',
    next: 'Look at the token or certificate, and at the id that goes with it; then at what the server was given to know callers by.',
  },
  NOT_YOUR_DEVICE: {
    fault: 'rejected',
    means: 'The request speaks of another device than the one that authenticated.',
    next: 'Use the id that belongs to the token or certificate.',
  },
  IMAGE_UNREADABLE: {
    fault: 'unavailable',
    means: 'The bytes of an offered image cannot be read, most often because the cache has evicted them meanwhile.',
    next: 'Ask again; the image is fetched anew at the next check-in.',
  },
  IMAGE_SIZE_WRONG: {
    fault: 'internal',
    means: 'The gateway handed over a body of another size than its descriptor says; the answer was cut.',
    next: 'Report it: it is a defect of the cache or the gateway.',
  },
  OTAFLUX_UNFIT: {
    fault: 'unsupported',
    means: 'An OtaFlux client cannot take this offer: several components, no plain image, under 10 bytes, or a version that is too long.',
    next: 'Use the native protocol for this device.',
  },
  HAWKBIT_UNFIT: {
    fault: 'unsupported',
    means: 'A hawkBit client cannot take this offer: it has several components, or no plain image.',
    next: 'Use the native protocol for this device.',
  },
  NO_SUCH_ACTION: {
    fault: 'invalid',
    means: 'A hawkBit client asks for an action or an artifact that is not the one it is to work on now.',
    next: 'Nothing: it polls again and is told the current one.',
  },
  INVALID_OPTION: {
    fault: 'invalid',
    means: 'An option of the transport, the handler or the client is not usable.',
    next: 'Correct the option that the message names.',
  },
  LISTEN_FAILED: {
    fault: 'unavailable',
    means: 'The server cannot listen on its address.',
    next: 'Stop what uses the port, or choose another address.',
  },
  SERVER_UNREACHABLE: {
    fault: 'unavailable',
    means: 'The device cannot reach the server, or the connection broke before the answer was complete.',
    next: 'Try again later; check the address, the network and the trusted authorities.',
  },
  SERVER_BUSY: {
    fault: 'unavailable',
    means: 'The server answered that it cannot serve now.',
    next: 'Try again later; `details.retryAfterMs` says when, if the server did.',
  },
  SERVER_REFUSED: {
    fault: 'rejected',
    means: 'The server refused the device: 401 or 403.',
    next: 'Check the id and the token of the device; `details.remoteCode` has the reason of the server.',
  },
  REQUEST_REFUSED: {
    fault: 'invalid',
    means: 'The server answered that the request is wrong, or that there is no such thing.',
    next: 'Look up `details.remoteCode`; a device checks in again for a current offer.',
  },
  INVALID_ANSWER: {
    fault: 'invalid',
    means: 'The server answered something that the protocol does not know; redirects are not followed.',
    next: 'Check that the address is that of a reflash server.',
  },
  IMAGE_CHANGED: {
    fault: 'unavailable',
    means: 'The image behind a download URL is not the one that the download began with.',
    next: 'Check in again and begin anew.',
  },
  DOWNLOAD_BROKEN: {
    fault: 'unavailable',
    means: 'A download broke more often in a row than the client tries.',
    next: 'Try again later from the last byte: the client resumes.',
  },
} as const

export const fail = errorsOf(httpErrors)
