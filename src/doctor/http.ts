/** The address that `/healthz` and drains are to be had at: is it free, or is streamgauge there already. */
import { createServer } from 'node:net';
import { request } from 'undici';

const answerForMs = 3_000;
const maxAnswerBytes = 64 * 1024;

/** Rejects if nobody could listen there; a streamgauge that does is only worth a remark: the doctor is asked while it runs. */
export async function canListen(host: string, port: number): Promise<readonly string[]> {
  const taken = await listenError(host, port);
  if (taken === undefined) return [];
  if (taken.code !== 'EADDRINUSE') throw taken;
  const version = await versionAt(host, port);
  if (version === undefined) throw new Error('another program has the port; choose one with http.listen');
  return [`this is streamgauge ${version}, running; if it was started with another config, choose another port with http.listen`];
}

function listenError(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** Undefined where something else answers, or nothing does. */
async function versionAt(host: string, port: number): Promise<string | undefined> {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}/version`;
  try {
    const { statusCode, body } = await request(url, { signal: AbortSignal.timeout(answerForMs), reset: true });
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of body as AsyncIterable<Uint8Array>) {
      bytes += part.length;
      if (bytes > maxAnswerBytes) return undefined;
      parts.push(part);
    }
    const said: unknown = JSON.parse(Buffer.concat(parts).toString());
    if (statusCode !== 200 || typeof said !== 'object' || said === null) return undefined;
    const { name, version } = said as { name?: unknown; version?: unknown };
    return name === 'streamgauge' && typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}
