'use strict';
// Collects garbage at a moment of our choice. V8 by itself collects when it runs out of room, which may be in the
// middle of a call.

const v8 = require('node:v8');
const vm = require('node:vm');

// While the flag is set, V8 gives each new context a global `gc`. Scripts' contexts are made later and have none.
v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');
v8.setFlagsFromString('--no-expose-gc');

// collectAll takes a few ms.
const collectAll = () => gc({ type: 'major', execution: 'sync' });

// collectYoung collects young objects only, which takes about one ms.
const collectYoung = () => gc({ type: 'minor', execution: 'sync' });

module.exports = { collectAll, collectYoung };
