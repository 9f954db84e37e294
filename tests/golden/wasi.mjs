#!/usr/bin/env -S node --no-warnings --experimental-wasi-unstable-preview1
// wasi.mjs PROGRAM [ARGUMENT...] - runs a WebAssembly program as a system would; it sees the whole tree of files.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, preopens: { '/': '/' } });
const program = new WebAssembly.Module(readFileSync(args[0]));
process.exit(wasi.start(new WebAssembly.Instance(program, { wasi_snapshot_preview1: wasi.wasiImport })));
