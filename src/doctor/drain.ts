/** Who may send to a drain, and how easily others could. */
import type { DrainSourceConfig } from '../config.ts';

/** 16 characters at random are more than anybody guesses over HTTP. */
const shortPassword = 16;
const everybodyKnows =
  /^(?:pass(?:word|wd)?|secret|changeme|change-me|heroku|logplex|streamgauge|drain|admin|test|token|letmein|qwerty\w*|1234\w*)\d*$/i;

/** Shows no credential, only which one by its place in the list. */
export function drainRemarks({ credentials }: DrainSourceConfig, host: string, isLoopback: boolean): string[] {
  const remarks: string[] = [];
  if (credentials.length === 0) {
    remarks.push('it has no credentials: anybody who can reach it can send to it; set `credentials`');
  }
  credentials.forEach((secret, index) => {
    const [user, ...rest] = secret.reveal().split(':');
    const password = rest.join(':');
    const weak =
      password === user || everybodyKnows.test(password)
        ? 'is one that everybody tries first'
        : password.length < shortPassword
          ? `has ${password.length} characters`
          : new Set(password).size < 5
            ? 'is a few characters over and over'
            : undefined;
    if (weak !== undefined) {
      remarks.push(
        `the password of credentials[${index}] ${weak}: use ${shortPassword} or more at random (openssl rand -hex 16), and SIGHUP takes it`,
      );
    }
  });
  if (!isLoopback) {
    remarks.push(`passwords go in clear text to ${host}: let a proxy end TLS in front of it, and let nothing else reach the port`);
  }
  return remarks;
}
