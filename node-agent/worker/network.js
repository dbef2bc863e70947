'use strict';
// Patches Node's modules in this worker so that they connect through the daemon: `net` and `tls`, and with them http,
// https and fetch. A container has no network of its own, so nothing is lost.

const net = require('node:net');
const { domainToASCII } = require('node:url');

const { isIP } = net;

const TUNNEL = Symbol('tunnel');
const MOST_FAILURES = 100; // places whose last error is kept

const refused = (message) => Object.assign(new Error(message), { code: 'EACCES', syscall: 'connect' });

// ascii returns a name as DNS has it. Text that is no name stays as it is.
const ascii = (name) => (/[^\0-\x7f]/.test(name) && domainToASCII(name)) || name;

// placeOf returns the {host, port} that the options of connect mean. Only the daemon looks names up.
function placeOf({ host, port }) {
  const number = typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port;
  if (!Number.isInteger(number) || number < 1 || number > 65535) {
    throw Object.assign(new RangeError(`Port should be > 0 and < 65536. Received ${String(port).slice(0, 100)}.`), { code: 'ERR_SOCKET_BAD_PORT' });
  }
  return { host: host === undefined || host === null || host === '' ? 'localhost' : ascii(String(host)), port: number };
}

// connectByTunnel opens a tunnel for a socket. failures learns why a socket could not connect.
function connectByTunnel(socket, tunnels, { host, port }, failures) {
  const onOpened = (address) => {
    failures.remove({ host, port });
    socket.connecting = false;
    socket._peername = { address, port, family: isIP(address) === 6 ? 'IPv6' : 'IPv4' };
    socket._unrefTimer();
    socket.emit('connect');
    socket.emit('ready');
    if (socket.readable && !socket.isPaused()) socket.read(0);
  };
  const tunnel = tunnels.open(host, port, {
    onOpened,
    onData: (chunk) => {
      socket._unrefTimer();
      return socket.push(chunk);
    },
    onEnd: () => {
      socket.push(null);
      socket.read(0);
    },
    onClosed: (error) => {
      if (socket.connecting && error !== undefined) failures.add(error);
      socket.destroy(error);
    },
  });
  socket[TUNNEL]?.abort(); // of an earlier connect
  socket[TUNNEL] = tunnel;
  Object.defineProperties(socket, properties);
}

// properties replace those of Node that read the socket's handle: a socket with a tunnel has none.
const properties = {
  pending: { get() { return this.connecting; }, configurable: true },
  bytesRead: { get() { return this[TUNNEL].bytesRead; }, configurable: true },
  bytesWritten: { get() { return this[TUNNEL].bytesWritten; }, configurable: true },
};

const bytesOf = (data, encoding) => (typeof data === 'string' ? Buffer.from(data, encoding) : data);

// methods replace those of a socket that has a tunnel.
const methods = {
  _read() {
    this[TUNNEL].read();
  },
  _writeGeneric(writev, data, encoding, done) {
    this._unrefTimer();
    const bytes = writev ? Buffer.concat(data.map((each) => bytesOf(each.chunk, each.encoding))) : bytesOf(data, encoding);
    this[TUNNEL].write(bytes, done);
  },
  _final(done) {
    this[TUNNEL].finish();
    done();
  },
  _getsockname() {
    return {};
  },
  ref() {
    return this;
  },
  unref() {
    return this;
  },
  _destroy(error, done) {
    this.connecting = false;
    this.setTimeout(0);
    this[TUNNEL].abort();
    done(error);
    process.nextTick(() => this.emit('close', Boolean(error)));
  },
  resetAndDestroy() {
    return this.destroy();
  },
};

function patchSocket(tunnels, failures) {
  const { prototype } = net.Socket;
  for (const [name, method] of Object.entries(methods)) {
    const own = prototype[name];
    prototype[name] = { [name](...args) { return Reflect.apply(this[TUNNEL] === undefined ? own : method, this, args); } }[name];
  }
  prototype.connect = function connect(...args) {
    const [options, listener] = Array.isArray(args[0]) ? args[0] : net._normalizeArgs(args);
    const place = options.path ? undefined : placeOf(options);
    if (listener !== null) this.once('connect', listener);
    this._undestroy(); // of an earlier connect
    this.connecting = true;
    this._unrefTimer();
    try {
      if (this.encrypted) throw refused('a TLSSocket connects by tls.connect'); // else it would send plain text
      if (options.onread) throw refused('connect with onread is not possible: listen to data'); // a handle would call onread
      if (place === undefined) throw refused(`connect to ${String(options.path).slice(0, 200)} is not possible: there are no local sockets`);
      this._host = place.host;
      connectByTunnel(this, tunnels, place, failures);
    } catch (error) {
      process.nextTick(() => this.destroy(error)); // the caller has no listeners yet
    }
    return this;
  };
}

// patchTls gives a TLS socket a patched socket to use. By itself it would make a handle and connect that.
function patchTls() {
  const tls = require('node:tls');
  const { connect: own } = tls;
  tls.connect = function connect(...args) {
    const [given, listener] = net._normalizeArgs(args);
    let options = { ...given, ...args.find((arg, i) => i > 0 && typeof arg === 'object' && arg !== null) };
    let socket;
    if (options.socket === undefined || options.socket === null) {
      const { path, host, port, allowHalfOpen } = options;
      socket = net.connect(path ? { path } : { host, port, allowHalfOpen });
      options = { ...options, socket };
    }
    const secure = own(options, ...(listener === null ? [] : [listener]));
    if (socket !== undefined && options.timeout) secure.setTimeout(options.timeout);
    return secure;
  };
  const { prototype } = tls.TLSSocket;
  const { _init: init } = prototype;
  prototype._init = function _init(socket, wrap) {
    Reflect.apply(init, this, [socket, wrap]);
    if (socket?.[TUNNEL] !== undefined && !socket.connecting) this.connecting = false; // TLSSocket takes a socket without a handle for one that connects
  };
}

const DISPATCHERS = [2, 1].map((version) => Symbol.for(`undici.globalDispatcher.${version}`));
const FETCH_IDLE = 1e3; // ms that fetch keeps a connection for another request

// patchFetch adds the reason to the error of a failed fetch. It also limits the connections that fetch keeps: by itself,
// fetch opens one for each request and keeps it for seconds, so that many requests at once would wait for places of
// connections that nobody uses. Now each origin gets a quarter of the places, and an idle connection is closed soon.
function patchFetch(most) {
  const { fetch: own } = globalThis;
  void globalThis.Request; // the getter makes the dispatcher
  const symbol = DISPATCHERS.find((name) => name in globalThis);
  const Agent = globalThis[symbol]?.constructor;
  if (Agent !== undefined) globalThis[symbol] = new Agent({ connections: Math.max(1, most >> 2), keepAliveTimeout: FETCH_IDLE, keepAliveMaxTimeout: FETCH_IDLE });
  globalThis.fetch = async function fetch(input, init) {
    try {
      return await own(input, init);
    } catch (error) {
      const { cause, stack } = error;
      if (cause?.syscall === 'connect' && error.message === 'fetch failed') {
        error.message += `: ${cause.message}`;
        error.stack = stack.replace('fetch failed', () => error.message);
      }
      throw error;
    }
  };
}

// Failures keeps the last connect error of each place. A WebSocket needs it, since its own error says nothing.
class Failures {
  #errors = new Map();

  add(error) {
    if (this.#errors.size >= MOST_FAILURES) this.#errors.clear(); // most are never needed
    this.#errors.set(`${error.host}:${error.port}`, error);
  }

  remove({ host, port }) {
    this.#errors.delete(`${host}:${port}`);
  }

  // of returns the error of the place that a URL names.
  of(url) {
    const { protocol, hostname, port } = new URL(url);
    return this.#errors.get(`${hostname.replace(/^\[|\]$/g, '')}:${port || (protocol === 'wss:' ? 443 : 80)}`);
  }
}

// patchWebSocket adds the reason to the error event of a WebSocket that could not connect.
function patchWebSocket(failures) {
  const { WebSocket: Own } = globalThis;
  const opened = new WeakSet(); // WebSockets that were connected: they end for another reason
  globalThis.WebSocket = class WebSocket extends Own {
    dispatchEvent(event) {
      if (event.type === 'open') opened.add(this);
      const cause = event.type === 'error' && !opened.has(this) ? failures.of(this.url) : undefined;
      if (cause !== undefined) {
        Object.defineProperty(event, 'message', { value: cause.message, configurable: true });
        Object.defineProperty(event, 'error', { value: cause, configurable: true });
      }
      return super.dispatchEvent(event);
    }
  };
}

function patchServer() {
  net.Server.prototype.listen = function listen() {
    throw Object.assign(new Error('listen is not possible: there is no network'), { code: 'EACCES', syscall: 'listen' });
  };
}

// install is called once, before a script gets any of these modules. most is the number of connections that a call may
// have at once.
function install(tunnels, most) {
  const failures = new Failures();
  patchSocket(tunnels, failures);
  patchTls();
  patchFetch(most);
  patchWebSocket(failures);
  patchServer();
}

module.exports = { install };
