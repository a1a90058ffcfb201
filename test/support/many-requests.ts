/** A rule that is easy to reckon by hand, as a folder on disk, and traffic that it fires on. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** More than so many events of one address in a minute; decided every 5 s. */
export function requestsRule(id: string, above: number): string {
  return `id: ${id}
title: One address asks too often
category: http
severity: high
status: live
key: client.address
measure: count
window: { size: 60s, slide: 5s, lateness: 0s }
detect: { above: ${above} }
finding: { summary: "{key} asked {value} times in {window}" }
`;
}

export const manyRequests = requestsRule('many_requests', 4);

/** Writes a rule into `<folder>/<its id>/rule.yaml`; returns `folder`. */
export async function writeRule(folder: string, text = manyRequests): Promise<string> {
  const id = /^id: (\S+)/m.exec(text)?.[1] ?? 'rule';
  await mkdir(join(folder, id), { recursive: true });
  await writeFile(join(folder, id, 'rule.yaml'), text);
  return folder;
}

/** JSON lines of one address, `everyMs` apart. */
export function requests(address: string, startMs: number, count: number, everyMs = 100): string[] {
  return Array.from({ length: count }, (_, i) => JSON.stringify({ time: startMs + i * everyMs, 'client.address': address, n: i }));
}

/** What a test asks of a finding as it goes out. */
export interface WrittenFinding {
  readonly id: string;
  readonly activity: string;
  readonly rule: string;
  readonly key: Readonly<Record<string, string>>;
  readonly value: number;
  /** The line as it stands. */
  readonly line: string;
}

export function findingsOf(ndjson: string): WrittenFinding[] {
  return ndjson
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { finding_info, activity_name, unmapped } = JSON.parse(line);
      return { id: finding_info.uid, activity: activity_name, rule: unmapped.rule, key: unmapped.key, value: unmapped.value, line };
    });
}
