import type { FieldNames } from './field-table.ts';
import { herokuEvents } from './heroku-events.ts';
import { fillRawLogfmt } from './logfmt.ts';
import type { RowWriter } from './row-writer.ts';
import { address } from './value-forms.ts';

/** Whether a text is a line of Heroku's router: `at=` or `sock=` first, and a `request_id=` or `fwd=` in it. */
export function isRouterLine(text: string): boolean {
  return (text.startsWith('at=') || text.startsWith('sock=')) && (text.includes(' fwd=') || text.includes(' request_id='));
}

export function fillRouter(text: string, row: RowWriter, names: FieldNames): void {
  fillRawLogfmt(text, row, names);
  // Path and X-Forwarded-For are the client's own words and may hold `" fwd="…`. The address Heroku saw is the last thing before ` dyno=`.
  const end = text.lastIndexOf('" dyno=');
  if (end > 0 && row.wants('client.address')) {
    const start = Math.max(text.lastIndexOf(',', end - 1), text.lastIndexOf('"', end - 1));
    row.text('client.address', address(text.slice(start + 1, end)));
  }
  row.text('message', text);
  row.text('event.name', isError(text) ? herokuEvents.routerError : herokuEvents.routerRequest);
}

/** H codes come with `at=error` or `at=warning`; H80 to H83 are `at=info` and no errors. */
function isError(text: string): boolean {
  const at = text.startsWith('at=') ? 3 : text.indexOf(' at=') + 4;
  if (at < 4 && !text.startsWith('at=')) return false;
  return (text.startsWith('error', at) || text.startsWith('warning', at)) && text.includes(' code=');
}
