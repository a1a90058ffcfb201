// Prints what Alertmanager would tell somebody, a line an alert, so that its routes can be watched before there is a pager.
//   node print-alerts.mjs [port]
import { createServer } from 'node:http';

const port = Number(process.argv[2] ?? 9909);
const maxBytes = 1_000_000;

const server = createServer(async (request, response) => {
  try {
    for (const line of linesOf(request.url, JSON.parse(await bodyOf(request)))) console.log(line);
    response.writeHead(200).end();
  } catch (error) {
    console.error(`${request.method} ${request.url}: ${error.message}`);
    response.writeHead(400).end();
  }
});
server.listen(port, '127.0.0.1', () => console.log(`who is told what, at 127.0.0.1:${server.address().port}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(0));

async function bodyOf(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`expected at most ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Alertmanager's web hook, version 4. What comes from logs is written as JSON: it may hold what moves a terminal's cursor. */
function linesOf(path, { alerts }) {
  return alerts.map(({ status, labels, annotations }) => {
    const summary = JSON.stringify(annotations.summary ?? labels.alertname);
    return `${new Date().toISOString()} ${path.slice(1).padEnd(7)} ${status.padEnd(8)} ${labels.alertname} ${summary}`;
  });
}
