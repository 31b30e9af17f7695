// Verifies DKIM signatures with npm mailauth and the keys of a file instead of DNS.
//
//   NODE_PATH=… node dkim_verify.js RECORDS.json < frames > lines
//
// RECORDS.json: {"sel._domainkey.example.test": "v=DKIM1; k=rsa; p=…"}. stdin: length (4 bytes, big-endian) and a mail, repeated.
// stdout: a JSON line for each mail: the results of its signatures, as [{"selector": "a", "result": "pass", "comment": ""}].
'use strict';
const { readFileSync } = require('fs');
const { dkimVerify } = require('mailauth/lib/dkim/verify');

const records = JSON.parse(readFileSync(process.argv[2], 'utf8'));

async function resolver(name, type) {
    if (type === 'TXT' && records[name]) {
        return [[records[name]]];
    }
    const error = new Error(`no record ${type} ${name}`);
    error.code = 'ENOTFOUND';
    throw error;
}

async function main() {
    const input = readFileSync(0);
    for (let at = 0; at < input.length;) {
        const length = input.readUInt32BE(at);
        const mail = input.subarray(at + 4, at + 4 + length);
        const { results } = await dkimVerify(mail, { resolver });
        const told = results.map(r => ({ selector: r.selector, result: r.status.result, comment: r.status.comment || '' }));
        process.stdout.write(JSON.stringify(told) + '\n');
        at += 4 + length;
    }
}

main().catch(error => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
