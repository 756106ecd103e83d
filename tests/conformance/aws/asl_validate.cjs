// Runs npm's asl-validator. Usage: node asl_validate.cjs NODE_MODULES < definition; prints one problem a line.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const validator = require(path.join(process.argv[2], 'asl-validator'));

const definition = JSON.parse(fs.readFileSync(0, 'utf8'));

// States Language, "JSONata payload templates": any JSON value may stand in Arguments, Assign and Output. The package's
// schema refuses lists in lists, and texts that are empty or have several lines.
function isConstant(instancePath) {
  if (!/\/(Arguments|Assign|Output)\//.test(instancePath ?? '')) return false;
  let value = definition;
  for (const key of instancePath.split('/').slice(1)) value = value?.[key.replaceAll('~1', '/').replaceAll('~0', '~')];
  return typeof value !== 'object' ? !String(value).startsWith('{%') : Array.isArray(value);
}

const result = validator(definition, { checkPaths: false, checkArn: true });
for (const error of result.errors) {
  if (isConstant(error.schemaError?.instancePath)) continue;
  if ('schemaError' in error) {
    console.log(`${error.schemaError.instancePath || '/'}: ${error.Message}`);
  } else {
    console.log(`${error.path ?? '/'}: ${error['Error code']} ${error.Message ?? ''}`);
  }
}
