// A reader of handoffs in JavaScript, written from docs/format.md alone: Node 22.15 or newer, nothing to install.
//
//   node read_handoff.mjs value <root> <message.json>     the value of each message, as JSON with tags, a line each
//   node read_handoff.mjs path <address.json>             the path of each address
//   node read_handoff.mjs address <path.json>             the address of each path
//
// Each file holds a JSON array. What cannot be read is a line {"error": newer | malformed | missing | damaged | limit}.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';

const LIMIT = 2 ** 30, INLINE = 4 * 2 ** 20, DEEPEST = 128;
const CODECS = ['tree', 'table', 'array', 'file'];
const fail = (kind, why) => { throw Object.assign(new Error(why), { kind }); };
const need = (isRight, why, kind = 'damaged') => isRight || fail(kind, why);
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const utf8 = (data) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
const hex = (data) => Buffer.from(data).toString('hex');

// --- addresses and paths ---------------------------------------------------------------------------------------

const isText = (x) => typeof x === 'string' && x.isWellFormed() && !x.includes('\0');
const isInteger = (x, least, most) => Number.isInteger(x) && least <= x && x <= most;

export function addressOf(x) {
  need(x !== null && typeof x === 'object', 'no address', 'malformed');
  const { dag_id, run_id, task_id, map_index = -1, key = 'return_value', item = null, ...more } = x;
  need([dag_id, run_id, task_id, key].every((id) => isText(id) && id), 'an id is no text', 'malformed');
  need(isInteger(map_index, -1, 2 ** 31 - 1) && (item === null || isInteger(item, 0, 2 ** 31 - 1)), 'no index', 'malformed');
  need(!Object.keys(more).length, 'an address with more', 'malformed');
  return { dag_id, run_id, task_id, map_index, key, item };
}

function segment(name, id) {
  const bytes = [...Buffer.from(id)];
  const isKept = (c, i) => /[A-Za-z0-9_+\-@]/.test(c) || (c === '.' && i > 0 && i < bytes.length - 1);
  const escaped = bytes.map((byte, i) => isKept(String.fromCharCode(byte), i) ? String.fromCharCode(byte)
    : '%' + byte.toString(16).toUpperCase().padStart(2, '0'));
  const whole = name + escaped.join('');
  return whole.length <= 200 ? whole : whole.slice(0, 135).replace(/%.?$/, '') + '~' + sha256(Buffer.from(id));
}

export function pathOf(address) {
  const { dag_id, run_id, task_id, map_index, key, item } = addressOf(address);
  const ids = [segment('dag_id=', dag_id), segment('run_id=', run_id), segment('task_id=', task_id)];
  return [...ids, `map_index=${map_index}`, ...(item === null ? [] : [`item=${item}`]), segment('', key)].join('/');
}

export function addressAt(path) {
  const found = /^dag_id=([^/]+)\/run_id=([^/]+)\/task_id=([^/]+)\/map_index=(-?\d+)\/(?:item=(\d+)\/)?([^/]+)$/.exec(path);
  need(found && !path.includes('~'), 'no path of an address, or one that only a header tells', 'malformed');
  const id = (text) => utf8(Buffer.from(text.replace(/%([0-9A-F]{2})/g, (_, x) => String.fromCharCode(parseInt(x, 16))), 'latin1'));
  const [dag_id, run_id, task_id] = found.slice(1, 4).map(id);
  const item = found[5] === undefined ? null : Number(found[5]);
  const address = { dag_id, run_id, task_id, map_index: Number(found[4]), key: id(found[6]), item };
  need(pathOf(address) === path, 'not spelled as an address spells it', 'malformed');
  return address;
}

// --- messages --------------------------------------------------------------------------------------------------

const text = (least, most) => (x) => isText(x) && isInteger([...x].length, least, most);
const matches = (pattern) => (x) => typeof x === 'string' && pattern.test(x);
const number = (least, most) => (x) => isInteger(x, least, most);
const BOTH = {
  __handoff__: [(x) => x === 1], kind: [matches(/^(inline|stored)$/)], codec: [text(1, 200)], type: [text(1, 200)],
  sha256: [matches(/^[0-9a-f]{64}$/)], preview: [text(0, 200), ''], file_name: [text(1, 255), undefined],
};
const FIELDS = {
  inline: { ...BOTH, data: [matches(/^(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?$/)] },
  stored: {
    ...BOTH, address: [addressOf], size: [number(0, 2 ** 53)], raw_size: [number(0, 2 ** 53)], attempt: [number(1, 2 ** 31), 1],
    check: [matches(/^[0-9a-f]{16}$/), undefined], uri: [text(0, 2048), ''],
  },
};

function envelopeOf(message) {
  need(!(Number.isInteger(message.__handoff__) && message.__handoff__ > 1), 'the envelope', 'newer');
  const fields = FIELDS[message.kind] ?? fail('malformed', 'of no kind');
  for (const [name, [isRight, ...left]] of Object.entries(fields))
    need(name in message ? isRight(message[name]) : left.length, `the field ${name}`, 'malformed');
  need(Object.keys(message).every((name) => name in fields), 'an unknown field', 'malformed');
  need(Buffer.byteLength(JSON.stringify(message)) <= (message.kind === 'stored' ? 2048 : 2 ** 20), 'oversize', 'malformed');
  need(message.kind === 'inline' || CODECS.includes(message.codec), `the codec ${message.codec}`, 'newer');
  return message;
}

// A message was parsed with its numbers as they are spelled: {"number": "5.0"}.
const asWritten = (source) => JSON.parse(source, (_, x, at) => typeof x === 'number' ? new Spelled(at.source) : x);
class Spelled { constructor(source) { this.source = source; } }
const plainly = (x) => x instanceof Spelled ? (/^-?\d+$/.test(x.source) ? Number(x.source) : Number.NaN)
  : Array.isArray(x) ? x.map(plainly)
  : x && typeof x === 'object' ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plainly(v)])) : x;

export function read(root, message) {
  if (message instanceof Spelled) return /^-?\d+$/.test(message.source) ? int(message.source) : float(Number(message.source));
  if (Array.isArray(message)) return message.map((x) => read(root, x));
  if (message === null || typeof message !== 'object') return message;
  if (!Object.hasOwn(message, '__handoff__')) return { dict: Object.entries(message).map(([k, v]) => [k, read(root, v)]) };
  const envelope = envelopeOf(plainly(message));
  if (envelope.kind === 'inline') {
    const data = Buffer.from(envelope.data, 'base64');
    need(sha256(data) === envelope.sha256, 'the digest of the data');
    need(CODECS.includes(envelope.codec), `the codec ${envelope.codec}`, 'newer');
    return valueOf(envelope, data, INLINE);
  }
  need(Math.max(envelope.size, envelope.raw_size) <= LIMIT, 'a large value', 'limit');
  const path = join(root, pathOf(envelope.address));
  need(existsSync(path), path, 'missing');
  need(statSync(path).size === envelope.size, 'another size: overwritten since, or damaged');
  const data = readFileSync(path);
  need(sha256(data) === envelope.sha256, 'another digest: overwritten since, or damaged');
  return valueOf(envelope, data, LIMIT, (header) => {
    need(pathOf(header.address) === pathOf(envelope.address), 'the artifact of another address');
    for (const name of ['codec', 'type', 'raw_size']) need(header[name] === envelope[name], 'another header', 'malformed');
  });
}

// --- artifacts and payloads ------------------------------------------------------------------------------------

function valueOf({ codec, type, file_name }, data, limit, check) {
  if (codec === 'file') return { file: [file_name ?? 'file', hex(data)] };
  // Any library for Parquet reads the file: here, its digest and size are right, and that is all.
  if (codec === 'table' && data.subarray(0, 4).equals(Buffer.from('PAR1'))) return { table: [type, 'parquet'] };
  let start = 0, header;
  if (check) {
    [header, start] = headerOf(data);
    check(header);
  }
  const payload = unframed(data.subarray(start), limit, header?.raw_size);
  if (codec === 'table') return { table: [type, 'ipc'] };
  if (codec === 'array') return arrayOf(payload);
  const value = new Tree(payload).whole(0);
  need(typeOf(value).test(type), `the payload is no ${type}`);
  return value;
}

function headerOf(data) {
  need(data.length >= 8 && data.readUInt32LE(0) === 0x184d2a5d, 'no header');
  const end = 8 + data.readUInt32LE(4);
  need(end <= 8 + 16384 && end <= data.length, 'no whole header');
  const json = utf8(data.subarray(8, end));
  need(!(Number(/^\{"handoff":(\d+)[,}]/.exec(json)?.[1]) > 1), 'the artifact', 'newer');
  const { handoff, address, codec, type, raw_size } = JSON.parse(json);
  need(JSON.stringify({ handoff, address: addressOf(address), codec, type, raw_size }) === json && handoff === 1, 'another spelling');
  need(CODECS.includes(codec), 'an unknown codec');
  return [{ address, codec, type, raw_size }, end];
}

function unframed(frame, limit, expected) {
  need(frame.length > 6 && frame.readUInt32LE(0) === 0xfd2fb528, 'no frame');
  const flags = frame[4], isSingle = flags >> 5 & 1, form = flags >> 6;
  need(flags & 4 && !(flags & 3), 'a frame without checksum, or with a dictionary');
  const place = isSingle ? 5 : 6, width = [isSingle, 2, 4, 8][form];
  need(width, 'a frame without size');
  const size = Number(Buffer.concat([frame.subarray(place, place + width), Buffer.alloc(8)]).readBigUInt64LE(0)) + (width === 2 ? 256 : 0);
  const window = isSingle ? size : 2 ** (10 + (frame[5] >> 3)) * (1 + (frame[5] & 7) / 8);
  need(size && size === (expected ?? size), 'another size');
  need(size <= limit, 'a large value', 'limit');
  need(window <= Math.max(size, 8 * 2 ** 20), 'a wide window');
  let at = place + width;
  for (let isLast = false; !isLast && at + 3 <= frame.length;) {
    const block = frame.readUIntLE(at, 3);
    isLast = block & 1;
    at += 3 + ((block >> 1 & 3) === 1 ? 1 : block >> 3);
  }
  need(at + 4 === frame.length, 'the frame does not end where the artifact does');
  let payload;
  try { payload = zstdDecompressSync(frame, { maxOutputLength: size }); } catch (error) { fail('damaged', error.message); }
  need(payload.length === size, 'another length');
  return payload;
}

// --- arrays ----------------------------------------------------------------------------------------------------

const SCALARS = {
  b1: (d) => d.getUint8(0) === 1, i1: (d) => int(d.getInt8(0)), u1: (d) => int(d.getUint8(0)),
  i2: (d, le) => int(d.getInt16(0, le)), u2: (d, le) => int(d.getUint16(0, le)), i4: (d, le) => int(d.getInt32(0, le)),
  u4: (d, le) => int(d.getUint32(0, le)), i8: (d, le) => int(d.getBigInt64(0, le)), u8: (d, le) => int(d.getBigUint64(0, le)),
  f4: (d, le) => float(d.getFloat32(0, le)), f8: (d, le) => float(d.getFloat64(0, le)),
  M8: (d, le) => int(d.getBigInt64(0, le)), m8: (d, le) => int(d.getBigInt64(0, le)),
};

function arrayOf(payload) {
  need(payload.subarray(0, 6).equals(Buffer.from('\x93NUMPY', 'latin1')), 'no array');
  const version = payload.readUInt16LE(6);
  need(version === 1 || version === 3, 'an array of another version');
  const start = version === 1 ? 10 : 12, end = start + (version === 1 ? payload.readUInt16LE(8) : payload.readUInt32LE(8));
  need(end <= payload.length && end % 64 === 0 && payload[end - 1] === 10, 'no whole head');
  const head = version === 1 ? payload.toString('latin1', start, end) : utf8(payload.subarray(start, end));
  const parts = /^\{'descr': (.*), 'fortran_order': (True|False), 'shape': (\(.*\)), \} *\n$/.exec(head) ?? fail('damaged', 'another spelling');
  const descr = literal(parts[1]), shape = literal(parts[3]), data = payload.subarray(end);
  need(data.length === widthOf(descr) * shape.reduce((a, b) => a * b, 1), 'another length');
  const decode = typeof descr === 'string' && SCALARS[descr.slice(1, 3)], width = widthOf(descr);
  const elements = decode && Array.from({ length: data.length / width }, (_, i) =>
    decode(new DataView(data.buffer, data.byteOffset + i * width, width), descr[0] === '<'));
  return { array: [descr, parts[2] === 'True' ? 'F' : 'C', shape, elements || hex(data)] };
}

const widthOf = (descr) => typeof descr === 'string' ? Number(/^.[a-zA-Z](\d+)/.exec(descr)[1]) * (descr[1] === 'U' ? 4 : 1)
  : descr.reduce((sum, [, inner, shape = []]) => sum + widthOf(inner) * shape.reduce((a, b) => a * b, 1), 0);

// Python's tuples, lists, integers and strings: enough for the head of an array. Of strings, what they may escape.
function literal(source) {
  const escapes = { n: '\n', t: '\t', r: '\r' };
  const unescaped = (_, two, four, eight, one) => two || four || eight ? String.fromCodePoint(parseInt(two || four || eight, 16)) : escapes[one] ?? one;
  const json = source.replace(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|,?\s*\)|\(/g, (token, one, two) => token.endsWith(')') && one === undefined
    && two === undefined ? ']' : token === '(' ? '[' : JSON.stringify((one ?? two).replace(/\\(?:x(..)|u(.{4})|U(.{8})|(.))/g, unescaped)));
  return JSON.parse(json);
}

// --- trees -----------------------------------------------------------------------------------------------------

const int = (x) => ({ int: String(x) });
function float(x) {
  const bits = Buffer.alloc(8);
  bits.writeDoubleBE(x);
  return { float: hex(bits) };
}

// JavaScript would take two surrogates side by side for one character: such text is given as its code points.
function codePoints(bytes) {
  const found = [];
  for (let i = 0; i < bytes.length;) {
    const length = bytes[i] < 0x80 ? 1 : bytes[i] < 0xe0 ? 2 : bytes[i] < 0xf0 ? 3 : 4;
    need(i + length <= bytes.length, 'text that is cut');
    found.push(bytes.subarray(i + 1, i + length).reduce((sum, byte) => sum * 64 + (byte & 63), bytes[i] & (0xff >> (length === 1 ? 0 : length + 1))));
    i += length;
  }
  return found;
}

const NAMES = {
  tuple: 'tuple', set: 'set', frozenset: 'frozenset', dict: 'dict', text: 'str', int: 'int', float: 'float', bytes: 'bytes',
  bytearray: 'bytearray', complex: 'complex', decimal: 'decimal.Decimal', uuid: 'uuid.UUID', date: 'datetime.date',
  time: 'datetime.time', datetime: 'datetime.datetime', timedelta: 'datetime.timedelta',
};
const FLAVOURS = ['PurePosixPath', 'PosixPath', 'PureWindowsPath'], PENDULUM = ['Date', 'Time', 'DateTime'];

function typeOf(value) {
  if (value === null || typeof value !== 'object') return { string: /^str$/, boolean: /^bool$/, object: /^NoneType$/ }[typeof value];
  if (Array.isArray(value)) return /^list$/;
  const [[tag, content]] = Object.entries(value);
  const name = { path: `pathlib.${content[0]}`, pendulum: `pendulum.${content[0]}`, record: content[0], member: content[0] }[tag] ?? NAMES[tag];
  return tag === 'numpy' ? /^numpy\./ : { test: (type) => type === name };
}

class Tree {
  constructor(bytes) { this.bytes = bytes; this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length); this.at = 0; }

  // What stands here is one value, and nothing behind it; so many containers are around it.
  whole(depth) { const value = this.node(depth); need(this.at === this.bytes.length, 'bytes behind the value'); return value; }

  // The content of an extension: an array, which is no level of its own.
  static array(bytes, depth) {
    const tree = new Tree(bytes), first = tree.number('Uint8', 1);
    const count = first >> 4 === 9 ? first & 15 : first === 0xdc ? tree.number('Uint16', 2) : first === 0xdd ? tree.number('Uint32', 4) : fail('damaged', 'no array');
    const nodes = tree.many(count, () => tree.node(depth));
    need(tree.at === bytes.length, 'bytes behind an array');
    return nodes;
  }

  number(kind, width) { const found = this.view[`get${kind}`](this.at); this.at += width; return found; }
  take(length) { need(this.at + length <= this.bytes.length, 'cut'); this.at += length; return this.bytes.subarray(this.at - length, this.at); }
  many(count, one) { need(count <= this.bytes.length, 'more elements than bytes'); return Array.from({ length: count }, one); }

  node(depth) {
    const byte = this.number('Uint8', 1), below = () => this.node(depth + 1);
    const list = (count) => { need(depth < DEEPEST, 'deep', 'limit'); return this.many(count, below); };
    const dict = (count) => { need(depth < DEEPEST, 'deep', 'limit'); return { dict: this.many(count, () => [below(), below()]) }; };
    if (byte < 0x80) return int(byte);
    if (byte < 0x90) return dict(byte & 15);
    if (byte < 0xa0) return list(byte & 15);
    if (byte < 0xc0) return utf8(this.take(byte & 31));
    if (byte >= 0xe0) return int(byte - 256);
    const [u1, u2, u4] = [['Uint8', 1], ['Uint16', 2], ['Uint32', 4]];
    const extension = (length) => { const code = this.number('Int8', 1); return unpack(code, this.take(length), depth); };
    switch (byte) {
      case 0xc0: return null;
      case 0xc2: case 0xc3: return byte === 0xc3;
      case 0xc4: case 0xc5: case 0xc6: return { bytes: hex(this.take(this.number(...[u1, u2, u4][byte - 0xc4]))) };
      case 0xc7: case 0xc8: case 0xc9: return extension(this.number(...[u1, u2, u4][byte - 0xc7]));
      case 0xca: return float(this.number('Float32', 4));
      case 0xcb: return { float: hex(this.take(8)) };
      case 0xcc: case 0xcd: case 0xce: return int(this.number(...[u1, u2, u4][byte - 0xcc]));
      case 0xcf: return int(this.number('BigUint64', 8));
      case 0xd0: return int(this.number('Int8', 1));
      case 0xd1: return int(this.number('Int16', 2));
      case 0xd2: return int(this.number('Int32', 4));
      case 0xd3: return int(this.number('BigInt64', 8));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(2 ** (byte - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return utf8(this.take(this.number(...[u1, u2, u4][byte - 0xd9])));
      case 0xdc: case 0xdd: return list(this.number(...[u2, u4][byte - 0xdc]));
      case 0xde: case 0xdf: return dict(this.number(...[u2, u4][byte - 0xde]));
      default: return fail('damaged', 'no MessagePack');
    }
  }
}

function unpack(code, content, depth) {
  if (code > 21) fail('newer', `an extension, ${code}`);
  if ((code >= 1 && code <= 4) || (code >= 17 && code <= 20)) need(depth < DEEPEST, 'deep', 'limit');
  const ascii = () => content.toString('latin1');
  const parts = (...counts) => { const found = Tree.array(content, depth + 1); need(!counts.length || counts.includes(found.length), 'other parts'); return found; };
  const once = (nodes) => { need(new Set(nodes.map((x) => JSON.stringify(x))).size === nodes.length, 'an element twice'); return nodes; };
  const moment = ([at, fold = int(0), zone = null]) => [at, fold, zone];
  switch (code) {
    case 1: return { tuple: parts() };
    case 2: return { set: once(parts()) };
    case 3: return { frozenset: once(parts()) };
    case 4: {
      const nodes = parts();
      need(nodes.length % 2 === 0, 'a key without value');
      once(nodes.filter((_, i) => i % 2 === 0));
      return { dict: nodes.flatMap((key, i) => i % 2 ? [] : [[key, nodes[i + 1]]]) };
    }
    case 5: return { text: codePoints(content) };
    case 6: return int(BigInt.asIntN(content.length * 8, BigInt(`0x${hex(content)}`)));
    case 7: return { bytearray: hex(content) };
    case 8: need(content.length === 16, 'no complex'); return { complex: [hex(content.subarray(0, 8)), hex(content.subarray(8))] };
    case 9: return { decimal: ascii() };
    case 10: return { uuid: [hex(content.subarray(0, 16)), { '': 'unknown', '01': 'safe', '02': 'unsafe' }[hex(content.subarray(16))] ?? fail('damaged', 'no UUID')] };
    case 11: need(/^\d{4}-\d\d-\d\d$/.test(ascii()), 'no date'); return { date: ascii() };
    case 12: return { time: moment(parts(1, 3)) };
    case 13: return { datetime: moment(parts(1, 3)) };
    case 14: return { timedelta: parts(3) };
    case 15: { const [flavour, name] = parts(2); return { path: [FLAVOURS[flavour.int] ?? fail('damaged', 'no flavour'), name] }; }
    case 16: return { numpy: scalar(...parts(2)) };
    case 17: { const [name, fields, given = null] = parts(2, 3); need(fields.dict, 'no fields'); return { record: [name, fields.dict, given] }; }
    case 18: return { member: parts(2, 3) };
    case 19: {
      const [codec, type, { bytes }] = parts(3);
      need(codec === 'array' || codec === 'table', 'no array or table');
      return valueOf({ codec, type }, Buffer.from(bytes, 'hex'), LIMIT);
    }
    case 20: {
      const [name, names, columns, given = null] = parts(3, 4);
      need(names.length && names.length === columns.length && columns.every((x) => x.length && x.length === columns[0].length), 'other columns');
      return columns[0].map((_, row) => ({ record: [name, once(names).map((field, i) => [field, columns[i][row]]), given] }));
    }
    case 21: { const [place, ...at] = parts(2, 4); return { pendulum: [PENDULUM[place.int] ?? fail('damaged', 'no moment'), ...at] }; }
    default: return fail('damaged', `no extension has the code ${code}`);
  }
}

function scalar(dtype, content) {
  if (dtype === 'U') return [dtype, content];
  const data = Buffer.from(content.bytes, 'hex'), decode = dtype === 'S' ? null : SCALARS[dtype.slice(1, 3)];
  need(dtype === 'S' || data.length === widthOf(dtype), 'another width');
  return [dtype, decode ? decode(new DataView(data.buffer, data.byteOffset, data.length), dtype[0] === '<') : content.bytes];
}

// --- the command -----------------------------------------------------------------------------------------------

const [, , command, ...files] = process.argv;
const CALLS = { value: (x) => read(files[0], x), path: (x) => pathOf(plainly(x)), address: addressAt };
for (const x of asWritten(readFileSync(files.at(-1), 'utf-8'))) {
  let line;
  try { line = CALLS[command](x); } catch (error) { line = { error: error.kind ?? 'damaged', why: error.message }; }
  console.log(JSON.stringify(line));
}
