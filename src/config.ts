/**
 * Reads and validates the config, once; the only reader of the environment. Every mistake is told at once, and nothing starts with one.
 * Relative paths begin at the config file's folder, or at the working folder where there is no file.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configSchema, notYetInConfig } from '../schemas/config.ts';
import { byLine, lineOf, problemOf, readYaml, validate, type YamlText } from '../schemas/document.ts';
import { type Path, valueAt } from '../schemas/issues.ts';
import { faultsBetween } from './config-faults.ts';
import { configOf } from './config-fields.ts';
import type { Config } from './config-types.ts';
import { UsageError } from './errors.ts';
import { type Environment, Interpolation } from './interpolate.ts';

export { Secret } from '../schemas/secret.ts';
export type * from './config-types.ts';

/** What the image or package was built from, where its builder said so. */
export function buildOf(env: Environment = process.env): { readonly commit: string; readonly builtAt: string } {
  return { commit: env.STREAMGAUGE_COMMIT ?? 'unknown', builtAt: env.STREAMGAUGE_BUILT_AT ?? 'unknown' };
}

const defaultFile = 'streamgauge.yaml';

/**
 * Reads the config at `path`; without one `streamgauge.yaml` of the working folder if there is one, else the defaults. Throws
 * `UsageError` with every mistake.
 */
export async function loadConfig(path: string | undefined, env: Environment = process.env): Promise<Config> {
  const file = path ?? (existsSync(defaultFile) ? defaultFile : undefined);
  if (file === undefined) return parseConfig('{}', undefined, env);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError([`${file}: expected a config that can be read, found: ${(error as Error).message}`]);
  }
  return parseConfig(text, file, env);
}

/** The same of a text; `file` names it in mistakes and says where relative paths begin. */
export function parseConfig(text: string, file: string | undefined, env: Environment): Config {
  const baseDir = file === undefined ? process.cwd() : dirname(resolve(file));
  const interpolation = new Interpolation(file ?? 'defaults', env, baseDir);
  // A file of comments alone is a config that says nothing.
  const yaml = readYaml(text, file ?? 'defaults', (document, lineAt) => interpolation.fill(document, lineAt));
  if (yaml.value === undefined) throw new UsageError(yaml.problems);
  const given: YamlText = yaml.value === null ? { ...yaml, value: {} } : yaml;
  const secret = (at: Path) => interpolation.filled.has(valueAt(given.value, at)) || at.some((step) => secretNames.has(String(step)));
  const { data, problems } = validate(configSchema, given, { secret, told: (at) => interpolation.failed.has(valueAt(given.value, at)) });
  problems.unshift(...yaml.problems);
  if (data !== undefined) {
    for (const fault of [...faultsBetween(data), ...notYetInConfig(data)]) problems.push(problemOf(given, fault));
  }
  if (data === undefined || problems.length > 0) throw new UsageError(byLine(problems));
  const config = configOf(data, file, baseDir, (id) => `${given.file}:${lineOf(given, ['overrides', id], 'key')}`);
  return { ...config, secretFiles: [...interpolation.files] };
}

/** Never shown, wherever they were written. */
const secretNames = new Set(['password', 'clientSecret', 'credentials', 'hashKey', 'token', 'key', 'auth']);
