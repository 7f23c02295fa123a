// SPDX-License-Identifier: Apache-2.0
// Clients of LLM APIs on WebSockets: ws.mjs SPEC. With "http2", both ends of RFC 8441 in this process:
// prints {"port"} and asks itself.
import {createRequire} from 'node:module';
import fs from 'node:fs';
import http2 from 'node:http2';

const spec = JSON.parse(process.argv[2]);
const require = createRequire(process.env.LLMTAP_NODE_MODULES + '/');
const WebSocket = require('ws');
const ca = spec.ca ? fs.readFileSync(spec.ca) : undefined;
const isLast = (type) => type === 'response.done' || type === 'response.completed';

function drive(socket, end) {
  let next = 0;
  const go = () => next < spec.messages.length ? socket.send(JSON.stringify(spec.messages[next++])) : end();
  socket.on('message', (data) => { if (isLast(JSON.parse(data).type)) go(); });
  return go;
}

function plain() {
  const socket = new WebSocket(spec.url + spec.path, {ca, perMessageDeflate: spec.compression ? spec.options : false, headers: spec.headers});
  socket.on('open', drive(socket, () => socket.close()));
}

async function openai() {
  const {OpenAI} = require('openai');
  const client = new OpenAI({apiKey: 'sk-test-0123456789', baseURL: spec.url.replace('ws', 'http') + '/v1'});
  let connection, done;
  if (spec.api === 'realtime') {
    const {OpenAIRealtimeWS} = require('openai/realtime/ws');
    connection = new OpenAIRealtimeWS({model: spec.model, options: {ca}}, client);
    done = 'response.done';
  } else {
    const {ResponsesWS} = require('openai/resources/responses/ws');
    connection = new ResponsesWS(client, {ca});
    done = 'response.completed';
  }
  connection.on('error', (error) => { console.error(error); process.exit(1); });
  let next = 0;
  const go = () => next < spec.messages.length ? connection.send(spec.messages[next++]) : connection.close();
  connection.on(done, go);
  connection.socket.on('open', go);
}

// What the ws library puts on a socket, on a stream of HTTP/2.
function onStream(stream, isServer) {
  const socket = new WebSocket(null, undefined, {});
  socket._isServer = isServer;
  stream.setNoDelay = stream.setKeepAlive = () => {};
  socket.setSocket(stream, Buffer.alloc(0), {allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false});
  return socket;
}

function overHttp2() {
  const certs = {key: fs.readFileSync(spec.certs + '/server.key'), cert: fs.readFileSync(spec.certs + '/server.pem')};
  const server = http2.createSecureServer({...certs, settings: {enableConnectProtocol: true}});
  let count = 0;
  server.on('stream', (stream) => {
    stream.respond({':status': 200});
    const socket = onStream(stream, true);
    socket.on('message', (data) => {
      const {model, generate} = JSON.parse(data), warm = generate === false;
      const entry = {id: `resp_h2_${process.pid}_${++count}`, model, operation: warm ? 'warmup' : 'responses', outcome: 'ok', stream: true,
                     input_tokens: 2000 + count, output_tokens: warm ? 0 : count, cached_tokens: count, audio: warm ? null : false};
      const say = (type, fields) => socket.send(JSON.stringify({type, ...fields}));
      const response = {id: entry.id, object: 'response', model};
      say('response.created', {response: {...response, status: 'in_progress'}});
      if (!warm) for (let i = 0; i < 10; i++) say('response.output_text.delta', {delta: 'word '.repeat(40)});
      fs.appendFileSync(spec.ledger, JSON.stringify(entry) + '\n');
      say('response.completed', {response: {...response, status: 'completed', usage: {
        input_tokens: entry.input_tokens, output_tokens: entry.output_tokens, input_tokens_details: {cached_tokens: entry.cached_tokens}}}});
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const session = http2.connect(`https://127.0.0.1:${server.address().port}`, {ca});
    session.on('remoteSettings', () => {
      const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': spec.path, 'sec-websocket-version': '13', ...spec.headers});
      stream.on('response', () => {
        const socket = onStream(stream, false);
        drive(socket, () => { socket.close(); session.destroy(); server.close(); process.exit(0); })();
      });
    });
  });
}

({node: plain, node_openai: openai, node_http2: overHttp2})[spec.client]();
