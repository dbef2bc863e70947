'use strict';
// Collecting garbage when it is known to be there, which V8 does only when it runs into it.

const v8 = require('node:v8');
const vm = require('node:vm');

// V8's own function is a global of contexts that are made while the flag is set: of this one alone.
v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');
v8.setFlagsFromString('--no-expose-gc');

// collectAll takes a few ms, collectYoung one or so.
const collectAll = () => gc({ type: 'major', execution: 'sync' });
const collectYoung = () => gc({ type: 'minor', execution: 'sync' });

module.exports = { collectAll, collectYoung };
