/** Durations and sizes as people write them, to the milliseconds and bytes that code counts in. */

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1000,
  KB: 1000,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Milliseconds of `1500ms`, `90s`, `10m`, `12h`, `7d`, `2w`; undefined for anything else, or if it is not a whole number of ms. */
export function parseDurationMs(text: string): number | undefined {
  const found = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d|w)$/.exec(text.trim());
  if (found === null) return undefined;
  // Rounded to a thousandth first: 1.1 s is 1100.0000000000002 ms in doubles.
  const ms = Math.round(Number(found[1]) * durationUnits[found[2]] * 1000) / 1000;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Bytes of `512MB` (10^6), `64MiB` (2^20), `1GB`, `1000B`; undefined for anything else. */
export function parseSizeBytes(text: string): number | undefined {
  const found = /^(\d{1,15}(?:\.\d{1,6})?)\s?(B|kB|KB|MB|GB|KiB|MiB|GiB)$/.exec(text.trim());
  if (found === null) return undefined;
  const bytes = Math.round(Number(found[1]) * sizeUnits[found[2]]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Bytes a second of `10MB/s`; undefined for anything else, and for none at all. */
export function parseRateBytes(text: string): number | undefined {
  const found = /^(.+)\/s$/.exec(text.trim());
  const bytes = found === null ? undefined : parseSizeBytes(found[1]);
  return bytes === 0 ? undefined : bytes;
}

/** The shortest exact way to write a duration: 600000 -> `10m`, 90000 -> `90s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const unit of ['w', 'd', 'h', 'm', 's']) {
    if (ms % durationUnits[unit] === 0) return `${ms / durationUnits[unit]}${unit}`;
  }
  return `${ms}ms`;
}
