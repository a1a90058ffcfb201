import type { RowWriter } from './row-writer.ts';
import { asctimeAt, clfTimeAt, isoTimeAt } from './time.ts';

/** A line of no known format: its message, and the time it begins with, if it does and nothing around the line knows better. */
export function fillPlain(text: string, row: RowWriter): void {
  row.text('message', text);
  if (!row.hasTime) row.time(leadingTime(text));
}

/** `2022-06-20T09:52:17.637Z …`, `[2022-02-11 13:41:28] …`, `2022/06/13 14:52:23 …`, `[29/Sep/2021:12:37:05 +0000] …`; NaN where there is none. */
function leadingTime(text: string): number {
  const at = text.charCodeAt(0) === 91 ? 1 : 0;
  const code = text.charCodeAt(at);
  if (code >= 48 && code <= 57) {
    const iso = isoTimeAt(text, at);
    return Number.isNaN(iso) ? clfTimeAt(text, at) : iso;
  }
  return text.charCodeAt(at + 3) === 32 && text.charCodeAt(at + 7) === 32 ? asctimeAt(text, at) : Number.NaN;
}
