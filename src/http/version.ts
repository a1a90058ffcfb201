import type { FastifyInstance } from 'fastify';

/** What is running. Set by whoever reads the config and the environment. */
export interface VersionInfo {
  /** Of package.json. */
  readonly version: string;
  /** Of the build, or `unknown`. */
  readonly commit: string;
  /** ISO 8601, or `unknown`. */
  readonly builtAt: string;
  /** The Kafka driver in use, or `none`. */
  readonly driver: string;
}

export function registerVersion(app: FastifyInstance, version: VersionInfo): void {
  app.get('/version', async () => ({ name: 'streamgauge', ...version, node: process.version }));
}
