/**
 * The connections of the server: how many there may be, which one goes when another comes, and what is said to a client whose bytes are no
 * request. A connection that has brought nothing may not keep out one that will: the limit takes those away first.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Why a connection was ended, or not taken, without a request that anything answered. */
export type Refusal = 'bad_request' | 'slow' | 'headers_too_large' | 'gone' | 'pipelined' | 'crowded_out' | 'too_many_connections';

/**
 * Requests of one connection that may wait for their answers. Senders wait for each; Node hands in all that one packet holds, a thousand small
 * ones, before anybody else has a turn.
 */
const maxUnderWay = 256;

interface Standing {
  /** Requests that have no whole answer yet. */
  readonly under: Set<IncomingMessage>;
  /** A POST of it was taken: a sender, which may be silent for minutes between batches. */
  sender: boolean;
  /** Its bytes were no request: nothing more is read. */
  refused: boolean;
  /** What is still to be done when the requests under way are answered. */
  finish: (() => void) | undefined;
}

export class Connections {
  readonly refused: Record<Refusal, number> = {
    bad_request: 0,
    slow: 0,
    headers_too_large: 0,
    gone: 0,
    pipelined: 0,
    crowded_out: 0,
    too_many_connections: 0,
  };
  private readonly max: number;
  private readonly standings = new Map<Socket, Standing>();
  /** Nothing under way and never a sender; the longest in that state first. */
  private readonly idle = new Set<Socket>();

  constructor(max: number) {
    this.max = max;
  }

  /** From now on; returns the server. Several may share the limit. */
  watch(server: Server): Server {
    server.on('connection', (socket: Socket) => this.opened(socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.clientError(error, socket));
    return server;
  }

  /** The handler, called for the requests that are let in. */
  guard(handler: RequestListener): RequestListener {
    return (request, response) => {
      if (this.letIn(request, response)) handler(request, response);
    };
  }

  endAll(): void {
    for (const socket of this.standings.keys()) socket.destroy();
  }

  /** Node's `clientError`: what came is no request, or did not come in time. */
  private clientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const standing = this.standings.get(socket);
    if (standing?.refused) return;
    if (standing !== undefined) standing.refused = true;
    const [reason, status] = refusalOf(error);
    this.refused[reason]++;
    const end = (): void => {
      if (status !== undefined && socket.writable) socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroy();
    };
    // Answers go in the order of the requests: a whole request before the rubbish must not be told that it was bad.
    const whole = standing !== undefined && [...standing.under].some(({ complete }) => complete);
    if (whole && !socket.destroyed) standing.finish = end;
    else end();
  }

  private opened(socket: Socket): void {
    if (this.standings.size >= this.max && !this.makeRoom()) {
      this.refused.too_many_connections++;
      socket.destroy();
      return;
    }
    this.standings.set(socket, { under: new Set(), sender: false, refused: false, finish: undefined });
    this.idle.add(socket);
    socket.once('close', () => this.forget(socket));
  }

  private makeRoom(): boolean {
    const [longest] = this.idle;
    if (longest === undefined) return false;
    this.refused.crowded_out++;
    this.forget(longest);
    longest.destroy();
    return true;
  }

  private letIn(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    const standing = this.standings.get(socket);
    if (standing === undefined || standing.refused) return false;
    if (standing.under.size === maxUnderWay) {
      this.refused.pipelined++;
      standing.refused = true;
      socket.destroy();
      return false;
    }
    standing.under.add(request);
    this.idle.delete(socket);
    response.once('close', () => {
      standing.under.delete(request);
      if (request.method === 'POST' && response.statusCode < 300) standing.sender = true;
      if (standing.under.size > 0 || !this.standings.has(socket)) return;
      standing.finish?.();
      if (!standing.sender) this.idle.add(socket);
    });
    return true;
  }

  private forget(socket: Socket): void {
    this.standings.delete(socket);
    this.idle.delete(socket);
  }
}

function refusalOf({ code }: NodeJS.ErrnoException): readonly [reason: Refusal, status: string | undefined] {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['slow', '408 Request Timeout'];
    case 'HPE_HEADER_OVERFLOW':
      return ['headers_too_large', '431 Request Header Fields Too Large'];
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return ['bad_request', '413 Payload Too Large'];
    case 'ECONNRESET':
    case 'EPIPE':
    case 'HPE_INVALID_EOF_STATE':
      return ['gone', code === 'HPE_INVALID_EOF_STATE' ? '400 Bad Request' : undefined];
    default:
      return ['bad_request', '400 Bad Request'];
  }
}
