// A client of the apiserver, generated from proto/ when it starts. It watches one ConfigMap from before it exists until
// it is gone, and prints what each call answered as one JSON document.
//
//   node client.js ADDRESS PROTO_DIR NAME CA [CERTIFICATE KEY]
//
// A call that fails ends it: the document is then {"error": CODE, "details": TEXT}, and the exit code 1.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const [address, protoDir, name, authority, certificate, key] = process.argv.slice(2);
const DEADLINE_MS = 30000;
const NAMESPACE = 'default';

function loadEverything() {
  const files = fs
    .readdirSync(path.join(protoDir, 'steersman'), { recursive: true })
    .filter((file) => file.endsWith('.proto'))
    .map((file) => path.join('steersman', file));
  const definition = protoLoader.loadSync(files, {
    includeDirs: [protoDir],
    longs: String,
    enums: String,
    defaults: false,
  });
  const services = Object.keys(definition).filter((each) => !('format' in definition[each]));
  return { services, types: grpc.loadPackageDefinition(definition) };
}

function credentials() {
  const read = (file) => (file ? fs.readFileSync(file) : null);
  return grpc.credentials.createSsl(read(authority), read(key), read(certificate));
}

function deadline() {
  return new Date(Date.now() + DEADLINE_MS);
}

function call(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, { deadline: deadline() }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

// Events arrive whether or not anybody waits for them; next() takes them in their order.
function watch(client, request) {
  const stream = client.watch(request, { deadline: deadline() });
  const events = stream[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await events.next();
      if (done) {
        throw new Error('the watch ended by itself');
      }
      return value;
    },
    cancel() {
      stream.on('error', () => {}); // the cancellation itself
      stream.cancel();
    },
  };
}

async function main() {
  const { services, types } = loadEverything();
  // An address is no name for TLS to ask for.
  const options = { 'grpc.ssl_target_name_override': 'apiserver' };
  const client = new types.steersman.core.v1.ConfigMaps(address, credentials(), options);
  try {
    const events = watch(client, { namespace: NAMESPACE, name });
    try {
      const bookmark = await events.next();
      const created = await call(client, 'create', {
        object: { metadata: { namespace: NAMESPACE, name, labels: { made: 'by-node' } }, data: { color: 'blue' } },
      });
      const listed = await call(client, 'list', { namespace: NAMESPACE, labelSelector: 'made=by-node' });
      const deleted = await call(client, 'delete', { namespace: NAMESPACE, name });
      const left = await call(client, 'list', { namespace: NAMESPACE, labelSelector: 'made=by-node' });
      return { services, bookmark, created, listed, deleted, left, events: [await events.next(), await events.next()] };
    } finally {
      events.cancel();
    }
  } finally {
    client.close();
  }
}

main().then(
  (report) => console.log(JSON.stringify(report)),
  (error) => {
    console.log(JSON.stringify({ error: grpc.status[error.code] ?? null, details: String(error.stack ?? error) }));
    process.exitCode = 1;
  },
);
