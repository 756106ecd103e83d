// Runs npm's asl-validator. Usage: node asl_validate.cjs NODE_MODULES < definition; prints one problem a line.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const validator = require(path.join(process.argv[2], 'asl-validator'));

const result = validator(JSON.parse(fs.readFileSync(0, 'utf8')), { checkPaths: false, checkArn: true });
for (const error of result.errors) {
  if ('schemaError' in error) {
    const { instancePath, message, params } = error.schemaError;
    console.log(`${instancePath || '/'}: ${message} ${JSON.stringify(params)}`);
  } else {
    console.log(`${error.path ?? '/'}: ${error['Error code']} ${error.Message ?? ''}`);
  }
}
