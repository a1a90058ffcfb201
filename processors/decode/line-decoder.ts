import { fillAccessLog } from './access-log.ts';
import { fillApacheError, fillNginxError } from './error-log.ts';
import type { FieldNames } from './field-table.ts';
import { fillRouter, isRouterLine } from './heroku-router.ts';
import { fillLogfmt, isLogfmt } from './logfmt.ts';
import { type Frame, fillHeroku, parseFrame } from './logplex.ts';
import { fillPlain } from './plain.ts';
import type { RowWriter } from './row-writer.ts';
import { fillSyslog, type SyslogContent } from './syslog.ts';
import { skipBlanks, withoutLineBreak } from './text-of.ts';
import { monthAt } from './time.ts';

/**
 * Decodes one line of text into the row that is open, whatever the line is: recognised by its first characters, never by a regular
 * expression. What is of no known format is a plain message, so a line always ends in its row.
 */
export class LineDecoder implements SyslogContent {
  private readonly routerNames: FieldNames;
  private readonly contentOf = (text: string, row: RowWriter): void => this.content(text, row);

  constructor(routerNames: FieldNames) {
    this.routerNames = routerNames;
  }

  /** A line with whatever envelope it has (Logplex, syslog), then its content. A line break at the end is left out. */
  fill(line: string, row: RowWriter): void {
    const text = withoutLineBreak(line);
    const code = text.charCodeAt(0);
    if (code === 60) {
      if (this.fillFrame(text, row, false) || this.fillSyslog(text, row)) return;
    } else if (((code >= 48 && code <= 57) || monthAt(text, 0) >= 0) && this.fillSyslog(text, row)) return;
    this.content(text, row);
  }

  /** A Logplex frame; `certain` if it came from a drain. False if the text is none. */
  fillFrame(text: string, row: RowWriter, certain: boolean): boolean {
    const frame = parseFrame(text, certain);
    if (frame === undefined) return false;
    this.heroku(frame, row);
    return true;
  }

  fillSyslog(text: string, row: RowWriter): boolean {
    return fillSyslog(text, row, this);
  }

  heroku(frame: Frame, row: RowWriter): void {
    fillHeroku(frame, row, this.routerNames, this.contentOf);
  }

  /** What a program wrote: JSON, an access or error log, logfmt, else a plain message. */
  content(text: string, row: RowWriter): void {
    const code = text.charCodeAt(skipBlanks(text, 0));
    if (code === 123) {
      if (fillJsonObject(text, row)) return;
    } else if (code === 91) {
      if (fillApacheError(text, row)) return;
    } else {
      if (code >= 48 && code <= 57 && fillNginxError(text, row)) return;
      if (this.logfmt(text, row)) return;
      if (fillAccessLog(text, row)) return;
    }
    fillPlain(text, row);
  }

  /** False if the text is no logfmt. */
  logfmt(text: string, row: RowWriter): boolean {
    if (!isLogfmt(text)) return false;
    if (isRouterLine(text)) fillRouter(text, row, this.routerNames);
    else {
      fillLogfmt(text, row);
      // Where no pair is the message, the line is.
      row.fallbackMessage(text);
    }
    return true;
  }
}

/** JSON inside another line may be cut short (Logplex splits at 10,000 bytes) or be no JSON at all: then it is a message. */
function fillJsonObject(text: string, row: RowWriter): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  return typeof value === 'object' && value !== null && row.object(value);
}
