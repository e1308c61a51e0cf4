/** The requests of one server, taken through its work in groups: see {@link createTurns}. */
export interface Turns<Request, Answer> {
  /** Works on a request once the sockets of this turn of the event loop have been read. */
  begin(request: Request): void
  /** Sends the answer to one together with those that are ready by then. */
  end(request: Request, answer: Answer): void
}

/**
 * Requests that are worked on before any of their answers leaves: what is gained by more is within the noise, and an answer that is ready
 * waits for no more than these.
 */
export const requestsPerTurn = 32

/**
 * Gathers what the sockets bring in one turn of the event loop: all of it is decided, then all of it is written. Taken one by one, each request
 * would run through parser, decision and kernel, and each of these finds the processor's caches full of the others: half of what a small answer costs
 * (ADR 0036). With a single request at hand nothing is waited for. `work` and `send` must not throw.
 */
export function createTurns<Request, Answer>(
  work: (request: Request) => void,
  send: (request: Request, answer: Answer) => void,
): Turns<Request, Answer> {
  let begun: Request[] = []
  let ended: { readonly request: Request; readonly answer: Answer }[] = []
  let sending = false

  function plan(): void {
    setImmediate(workOnAll)
    planSending()
  }

  function planSending(): void {
    sending = true
    setImmediate(sendAll)
  }

  function workOnAll(): void {
    const now = begun
    begun = now.splice(requestsPerTurn)
    if (begun.length > 0) plan()
    for (const request of now) work(request)
  }

  function sendAll(): void {
    const now = ended
    ended = []
    sending = false
    for (const { request, answer } of now) send(request, answer)
  }

  return {
    begin(request) {
      // The answers' turn is planned at once: what needs no more than memory is ready when it comes.
      if (begun.push(request) === 1) plan()
    },
    end(request, answer) {
      ended.push({ request, answer })
      if (!sending) planSending()
    },
  }
}
