/** The one HTTP server: drains, health, metrics, version, and what else is mounted. Its limits are what stands between a hostile client and the rest. */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { DependencyError } from '../errors.ts';
import { Connections } from './connections.ts';
import { registerHealth, type Status } from './health.ts';
import { type MetricsInput, registerMetrics } from './metrics.ts';
import { registerVersion, type VersionInfo } from './version.ts';

export interface ServerOptions {
  /** A pino logger; silent without one. */
  readonly log?: FastifyBaseLogger;
  readonly status: Status;
  readonly metrics: MetricsInput;
  readonly version: VersionInfo;
  /** What else answers: drains, `/api`. */
  readonly mounts?: readonly Mount[];
  readonly limits?: ServerLimits;
}

export interface Mount {
  register(app: FastifyInstance): void;
}

export interface ServerLimits {
  /** All headers of a request; default 16 KiB. Over it: 431. */
  readonly maxHeaderBytes?: number;
  /** Bodies of everything but drains, which have their own limit; default 64 KiB. */
  readonly maxBodyBytes?: number;
  /** Connections at once; default 1000. One more crowds out the longest idle one that was never a sender. */
  readonly maxConnections?: number;
  /** For the headers to arrive; default 10 s. Over it: 408. */
  readonly headersTimeoutMs?: number;
  /** For a whole request to arrive; default 30 s. Over it: 408. */
  readonly requestTimeoutMs?: number;
  /** Silence on a connection while a request is under way; default 60 s. */
  readonly connectionTimeoutMs?: number;
  /** Silence between requests; default 170 s: Logplex closes idle connections itself after 144 to 159 s, and loses a batch if we do it first. */
  readonly keepAliveMs?: number;
  /** For the requests under way when the server is closed; default 6 s, because a drain holds one for 4 s. */
  readonly closeMs?: number;
}

/** Makes the server; `listen` starts it. */
export function createServer(options: ServerOptions): FastifyInstance {
  const limits = options.limits ?? {};
  const connections = new Connections(limits.maxConnections ?? 1000);
  const app = Fastify({
    ...(options.log === undefined ? { logger: false } : { loggerInstance: options.log }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.maxBodyBytes ?? 64 * 1024,
    // `localhost` is two addresses, each with a server of its own: all of them are made here, so that the limits hold for both.
    serverFactory: (handler) => connections.watch(httpServer(connections.guard(handler), limits)),
    clientErrorHandler: () => {},
  }) as unknown as FastifyInstance;
  // Without an end to it a client that does not read its answers would keep the process from ending.
  app.addHook('preClose', async () => void setTimeout(() => connections.endAll(), limits.closeMs ?? 6000).unref());
  const allowed = allowedMethods(app);
  app.setNotFoundHandler((request, reply) => {
    const methods = allowed.get(request.url.split('?', 1)[0]);
    if (methods !== undefined) reply.header('allow', methods);
    const error = methods === undefined ? 'not_found' : 'wrong_method';
    const message = `nothing answers ${request.method} ${request.url.slice(0, 200)}`;
    return reply.code(methods === undefined ? 404 : 405).send({ error, message });
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode !== undefined && error.statusCode >= 400 ? error.statusCode : 500;
    if (status >= 500) request.log.error({ err: error, url: request.url }, 'a request failed');
    return reply.code(status).send({
      error: status >= 500 ? 'internal' : 'bad_request',
      message: status >= 500 ? 'this is our mistake; the log says more' : error.message,
    });
  });
  registerHealth(app, options.status);
  registerMetrics(app, { ...options.metrics, refusals: () => connections.refused }, options.status);
  registerVersion(app, options.version);
  for (const mount of options.mounts ?? []) mount.register(app);
  return app;
}

/** What each path is for, as it is registered. Fastify itself, asked for a route, takes what a client sent for a pattern to be compiled. */
function allowedMethods(app: FastifyInstance): ReadonlyMap<string, string> {
  const allowed = new Map<string, string>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = [method].flat();
    // A drain answers every method itself, but for those that Fastify does not know.
    if (methods.includes('POST')) allowed.set(url, 'POST');
    else if (methods.includes('GET')) allowed.set(url, 'GET');
  });
  return allowed;
}

function httpServer(handler: RequestListener, limits: ServerLimits): Server {
  const server = createHttpServer(
    {
      headersTimeout: limits.headersTimeoutMs ?? 10_000,
      requestTimeout: limits.requestTimeoutMs ?? 30_000,
      keepAliveTimeout: limits.keepAliveMs ?? 170_000,
      maxHeaderSize: limits.maxHeaderBytes ?? 16 * 1024,
      // How exactly the timeouts are kept; Node's default of 30 s would triple them.
      connectionsCheckingInterval: Math.min(1000, limits.headersTimeoutMs ?? 1000, limits.requestTimeoutMs ?? 1000),
    },
    handler,
  );
  server.setTimeout(limits.connectionTimeoutMs ?? 60_000);
  return server;
}

/** Starts to listen and returns the address, `http://127.0.0.1:8080`. Rejects with a `DependencyError` if the port cannot be had. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const next = code === 'EADDRINUSE' ? 'another program has the port; choose one with http.listen' : 'check http.listen';
    throw new DependencyError(`http: cannot listen on ${host}:${port}: ${message}; ${next}`, { cause });
  }
}
