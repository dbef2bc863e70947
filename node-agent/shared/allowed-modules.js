'use strict';
// Which built-in modules and packages scripts may load. The daemon's hello may have a list (jsd serve --modules).
// Without one, scripts may load the built-ins below and all packages.

const BUILT_INS = Object.freeze([
  'assert', 'assert/strict', 'buffer', 'crypto', 'events', 'path', 'path/posix', 'path/win32', 'punycode', 'querystring',
  'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers', 'timers/promises', 'url', 'util', 'util/types', 'zlib',
]);

// NETWORK_MODULES may be loaded only where there are hosts that scripts may reach.
const NETWORK_MODULES = Object.freeze(['http', 'https', 'net', 'tls']);

const NOT_LISTED = 'it is not in the list of modules that scripts may use (jsd serve --modules)';
const NO_HOSTS = 'there are no hosts that scripts may reach (jsd serve --hosts)';

class AllowedModules {
  #allowed;
  #allPackages;
  #network;

  // listed are the names of built-ins and packages; undefined stands for the defaults. network says whether there are
  // hosts that scripts may reach.
  constructor(listed, network) {
    this.#allowed = new Set(listed ?? [...BUILT_INS, ...(network ? NETWORK_MODULES : [])]);
    if (!network) for (const name of NETWORK_MODULES) this.#allowed.delete(name);
    this.#allPackages = listed === undefined;
    this.#network = network;
  }

  // names are the allowed names that a list has. Where all packages are allowed, none of them is named.
  names() {
    return [...this.#allowed];
  }

  has(name) {
    return this.#allowed.has(name);
  }

  hasPackage(name) {
    return this.#allPackages || this.#allowed.has(name);
  }

  // refusal says why a name may not be loaded.
  refusal(name) {
    return NETWORK_MODULES.includes(name) && !this.#network ? NO_HOSTS : NOT_LISTED;
  }
}

module.exports = { AllowedModules, NETWORK_MODULES, NOT_LISTED };
