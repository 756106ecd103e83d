// Evaluates and parses JSONata as Step Functions does. One JSON request a line on stdin, one answer a line on stdout:
//   {"evaluate": text, "bindings": {name: value}} -> {"value"} | {"undefined": true} | {"error": text}
//   {"parse": text} -> {"variables": [{"name", "path"}]} | {"error": text}
// Usage: node jsonata_server.cjs NODE_MODULES
'use strict';
const crypto = require('node:crypto');
const path = require('node:path');
const readline = require('node:readline');
const jsonata = require(path.join(process.argv[2], 'jsonata'));

const HASHES = { MD5: 'md5', 'SHA-1': 'sha1', 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' };
const fail = (text) => { throw new Error(text); };
const isInteger = (value) => Number.isInteger(value);

// "JSONata functions provided by Step Functions", docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
const functions = {
  partition: ['<a-n:a>', (list, size) => {
    if (list === undefined || size === undefined) return undefined;
    if (!isInteger(size) || size < 1) fail('$partition: the chunk size must be a positive integer');
    const chunks = [];
    for (let at = 0; at < list.length; at += size) chunks.push(list.slice(at, at + size));
    return chunks;
  }],
  range: ['<nnn:a>', (first, last, step) => {
    if (first === undefined || last === undefined || step === undefined) return undefined;
    if (![first, last, step].every(isInteger) || step === 0) fail('$range: takes integers and a step that is not 0');
    const list = [];
    for (let n = first; step > 0 ? n <= last : n >= last; n += step) {
      if (list.length === 1000) fail('$range: gives more than 1000 items');
      list.push(n);
    }
    return list;
  }],
  hash: ['<xs:s>', (value, algorithm) => {
    if (value === undefined) return undefined;
    if (!HASHES[algorithm]) fail(`$hash: no such algorithm: ${algorithm}`);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return crypto.createHash(HASHES[algorithm]).update(text).digest('hex');
  }],
  uuid: ['<:s>', () => crypto.randomUUID()],
  parse: ['<s:x>', (text) => (text === undefined ? undefined : JSON.parse(text))],
  // "the JSONata function $eval is not supported"
  eval: ['<x?x?:x>', () => fail('$eval is not supported')],
};

const compiled = new Map();
function compile(text) {
  if (!compiled.has(text)) {
    const expression = jsonata(text);
    for (const [name, [signature, body]] of Object.entries(functions)) {
      expression.registerFunction(name, body, signature);
    }
    compiled.set(text, expression);
  }
  return compiled.get(text);
}

function describe(error) {
  const parts = [error.code, error.message].filter(Boolean);
  return parts.join(': ') || String(error);
}

function holdsFunction(value) {
  if (typeof value === 'function') return true;
  if (value === null || typeof value !== 'object') return false;
  if (value._jsonata_lambda === true || value._jsonata_function === true) return value.body !== undefined || typeof value.implementation === 'function';
  return Object.values(value).some(holdsFunction);
}

async function evaluate(request) {
  const value = await compile(request.evaluate).evaluate(undefined, request.bindings);
  if (value === undefined) return { undefined: true };
  if (holdsFunction(value)) return { error: 'the result is a function' };
  return { value };
}

// What an expression takes from outside: variables, each with the fields read of it; the input document, by a bare field name or `$`, has the
// name ''. Inside a predicate, a later step of a path, a sort or a group there is a context, and bare names are its fields.
function freeVariables(text) {
  const found = [];
  const walk = (node, bound, context) => {
    if (Array.isArray(node)) return node.forEach((item) => walk(item, bound, context));
    if (node === null || typeof node !== 'object') return;
    const note = (name, path) => {
      if (name === '' ? !context : !bound.has(name)) found.push({ name, path });
    };
    const inner = (first) => walk([first.predicate, first.stages, first.group], bound, true);
    switch (node.type) {
      case 'variable':
        note(node.value, []);
        return inner(node);
      case 'name':
      case 'wildcard':
      case 'descendant':
        note('', [String(node.value)]);
        return inner(node);
      case 'path': {
        const [first, ...rest] = node.steps;
        if (first.type === 'variable') {
          const names = rest.findIndex((step) => step.type !== 'name');
          note(first.value, (names < 0 ? rest : rest.slice(0, names)).map((step) => step.value));
          inner(first);
        } else {
          walk(first, bound, context);
        }
        return walk([rest, node.group], bound, true);
      }
      case 'block': {
        const scope = new Set(bound);
        return node.expressions.forEach((item) => walk(item, scope, context));
      }
      case 'bind':
        // A lambda may call itself by the name it gets.
        walk(node.rhs, node.rhs.type === 'lambda' ? new Set([...bound, node.lhs.value]) : bound, context);
        bound.add(node.lhs.value);
        return;
      case 'lambda':
        return walk(node.body, new Set([...bound, ...node.arguments.map((argument) => argument.value)]), context);
      default:
        for (const [key, value] of Object.entries(node)) {
          const nested = key === 'predicate' || key === 'stages' || key === 'group' || key === 'terms';
          if (key !== 'position' && key !== 'type') walk(value, bound, context || nested);
        }
    }
  };
  walk(jsonata(text).ast(), new Set(), false);
  return { variables: found };
}

async function answer(line) {
  const request = JSON.parse(line);
  try {
    return request.parse === undefined ? await evaluate(request) : freeVariables(request.parse);
  } catch (error) {
    return { error: describe(error) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    process.stdout.write(JSON.stringify(await answer(line)) + '\n');
  }
})();
