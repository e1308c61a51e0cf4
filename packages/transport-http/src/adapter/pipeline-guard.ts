import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Bounds how many requests of one connection may wait behind the one that is answered. */
export interface PipelineGuard {
  /** Whether a request may be worked on; the connection of one that may not is cut, and `cut` is called once for it. */
  admits(incoming: IncomingMessage, outgoing: ServerResponse): boolean
}

interface Pipeline {
  /** Bytes of the connection that were read when its last request came: the same for all requests of one read. */
  bytesRead: number
  /** Requests of that read. */
  atOnce: number
  /** Requests that are behind one which is not answered yet. */
  waiting: number
}

/**
 * node:http hands over every request that it has read, whatever is unanswered: slow answers let a stranger queue as many as memory holds, and
 * where answers are quick, all of one read are worked on before any other connection is looked at.
 */
export function createPipelineGuard(limit: number, cut: () => void): PipelineGuard {
  const pipelines = new WeakMap<Socket, Pipeline>()

  function pipelineOf(socket: Socket): Pipeline {
    const known = pipelines.get(socket)
    if (known !== undefined) return known
    const pipeline: Pipeline = { bytesRead: -1, atOnce: 0, waiting: 0 }
    pipelines.set(socket, pipeline)
    return pipeline
  }

  return {
    admits({ socket }, outgoing) {
      if (socket.destroyed) return false
      const pipeline = pipelineOf(socket)
      const { bytesRead } = socket
      pipeline.atOnce = bytesRead === pipeline.bytesRead ? pipeline.atOnce + 1 : 0
      pipeline.bytesRead = bytesRead
      // A response that waits for another has no socket yet.
      if (outgoing.socket === null) {
        pipeline.waiting += 1
        outgoing.once('socket', () => {
          pipeline.waiting -= 1
        })
      }
      if (pipeline.atOnce <= limit && pipeline.waiting <= limit) return true
      socket.destroy()
      cut()
      return false
    },
  }
}
