/**
 * The suites whose raw lines our own decoders read: nginx (BunkerWeb is nginx), Apache, LiteSpeed and sshd. What CrowdSec's filters say about its parsers'
 * fields is said here about ours, in the rule language.
 */

/** What replaces a CrowdSec rule's filter and field names when it is run over decoded lines. */
export interface RawRule {
  readonly where: Readonly<Record<string, unknown>>;
  /** The OpenTelemetry name of the field whose values are counted, where the rule counts values. */
  readonly distinct?: string;
}

export interface RawSuite {
  readonly rules: Readonly<Record<string, RawRule>>;
  /** The file is not in time order: how far back its lines go. */
  readonly lateness?: string;
}

const scripts = ['prompt(', 'alert(', 'javascript:', '%28', '%3A', '<', '%3C'];
const hidden = [
  '.bash_history',
  '.bashrc',
  '.cache',
  '.config',
  '.cvs',
  '.cvsignore',
  '.env',
  '.forward',
  '.git/HEAD',
  '.passwd',
  '.ssh',
  '.sql',
];
const upwards = ['../', '%2e%2e', '%252e', '/etc/', '%2fetc', 'win.ini'];
const assets = ['.css', '.js', '.png', '.jpg', '.gif', '.ico', '.svg', '.woff'];

const refused: RawRule = {
  where: {
    refused: { 'event.name': ['ssh.invalid_user', 'ssh.auth_failed'] },
    gave_up: { 'event.name': 'ssh.disconnect', 'message|contains': 'authenticating user' },
    condition: 'refused or gave_up',
  },
};
const bruteForce: RawSuite = {
  rules: { 'crowdsecurity/ssh-bf': refused, 'crowdsecurity/ssh-bf_user-enum': { ...refused, distinct: 'user.name' } },
};
const traversal: RawSuite = {
  rules: { 'crowdsecurity/http-path-traversal-probing': { where: { 'url.path|contains': upwards }, distinct: 'url.path' } },
};
const mailLogin = { 'message|startswith': 'client login failed' };
const sensitiveFiles: RawSuite = {
  rules: { 'crowdsecurity/http-sensitive-files': { where: { 'url.path|endswith': hidden }, distinct: 'url.path' } },
};

export const rawSuites: Readonly<Record<string, RawSuite>> = {
  'apache-http-probing': {
    rules: {
      'crowdsecurity/http-probing': {
        where: {
          selection: { 'http.response.status_code': [400, 403, 404] },
          filter: { 'url.path|endswith': assets },
          condition: 'selection and not filter',
        },
        distinct: 'url.path',
      },
    },
  },
  'nginx-http-path-traversal': traversal,
  'bunkerweb-http-path-traversal': traversal,
  'bunkerweb-bad-user-agent': {
    rules: { 'crowdsecurity/http-bad-user-agent': { where: { 'user_agent.original|contains': ['nikto', 'sqlmap', 'nmap', 'masscan'] } } },
  },
  'nginx-mail-bf': {
    rules: { 'hitech95/email-generic-bf': { where: mailLogin }, 'hitech95/email-user-bf': { where: mailLogin, distinct: 'user.name' } },
  },
  'nginx-http-sensitive-files': sensitiveFiles,
  'litespeed-http-sensitive-files': sensitiveFiles,
  'nginx-http-xss-probing': {
    rules: { 'crowdsecurity/http-xss-probbing': { where: { 'url.query|contains': scripts }, distinct: 'url.query' } },
  },
  'http-wordpress_user-enum': {
    rules: { 'crowdsecurity/http-wordpress_user-enum': { where: { 'url.query|contains': 'author=' }, distinct: 'url.query' } },
  },
  'CVE-2022-41697': {
    rules: {
      'crowdsecurity/CVE-2022-41697': {
        where: { 'http.request.method': 'POST', 'url.path|endswith': '/ghost/api/admin/session', 'http.response.status_code': 404 },
      },
    },
  },
  'sshd-invalid-bf': bruteForce,
  'opnsense-sshd': bruteForce,
  'sshd-bad-keyexchange-bf': {
    rules: {
      'lepresidente/ssh-bad-keyexchange-bf': { where: { 'service.name': 'sshd', 'message|startswith': 'Unable to negotiate with' } },
    },
    lateness: '2d',
  },
  'ssh-timeout': {
    rules: {
      'crowdsecurity/ssh-cve-2024-6387': {
        where: { 'service.name': 'sshd', 'message|contains': ['Timeout before authentication', 'ssh_dispatch_run_fatal'] },
      },
    },
  },
};
