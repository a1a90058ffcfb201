import { herokuEvents } from './heroku-events.ts';
import type { RowWriter } from './row-writer.ts';
import { integerAt } from './text-of.ts';

/** How a line of the platform's API begins or what it holds -> its event name; the first that fits counts. */
const beginnings: readonly (readonly [string, string])[] = [
  ['Initial release', herokuEvents.releaseCreated],
  ['Release v', herokuEvents.releaseCreated],
  ['Rollback to v', herokuEvents.releaseRolledBack],
  ['Running release v', herokuEvents.releaseCommand],
  ['Deploy ', herokuEvents.deployed],
  ['Scaled to ', herokuEvents.scaled],
  ['Build started', herokuEvents.buildStarted],
  ['Build succeeded', herokuEvents.buildSucceeded],
  ['Build failed', herokuEvents.buildFailed],
  ['Attach ', herokuEvents.addonAttached],
  ['Detach ', herokuEvents.addonDetached],
  ['Enable Logplex', herokuEvents.logplexEnabled],
  ['Starting process with command', herokuEvents.processRun],
];

/** A line of `app` / `api`: releases, config, scaling, builds, add-ons. `user.email` is who did it. */
export function fillApi(text: string, row: RowWriter): void {
  row.text('message', text);
  const by = text.lastIndexOf(' by user ');
  if (by >= 0) row.text('user.email', text.slice(by + 9).trim());
  const name = eventName(text);
  row.text('event.name', name);
  if (name === herokuEvents.releaseCreated || name === herokuEvents.releaseRolledBack || name === herokuEvents.releaseCommand) {
    const version = integerAt(text, text.indexOf(' v') + 2);
    if (text.includes(' v') && version >= 0) row.number('heroku.release.version', version);
  } else if (name === herokuEvents.deployed) {
    const end = text.indexOf(' ', 7);
    row.text('heroku.release.commit', text.slice(7, end < 0 ? text.length : end));
  } else if (name === herokuEvents.processRun) {
    const tick = text.indexOf('`');
    const last = text.lastIndexOf('`');
    if (last > tick) row.text('process.command_line', text.slice(tick + 1, last));
  } else if (name === herokuEvents.scaled) {
    row.text('heroku.formation', text.slice(10, by < 0 ? text.length : by));
  }
}

function eventName(text: string): string | undefined {
  for (const [start, name] of beginnings) if (text.startsWith(start)) return name;
  // Names of config vars stand between, so the middle decides: `Set A, B config vars by user …`, `@ref:x completed provisioning, …`.
  if (text.includes(' completed provisioning')) return herokuEvents.addonProvisioned;
  if (text.includes(' config var')) return herokuEvents.configChanged;
  return undefined;
}
