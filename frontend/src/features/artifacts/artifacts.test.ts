import { afterEach, describe, expect, it, vi } from 'vitest';

import { at } from '@/test/fixtures';
import { deleteArtifact, putArtifact } from './rest';
import { parseArtifactsSearch } from './search';
import { countShows, selectArtifacts, type Artifact } from './select';
import { checkUpload, kindOf, nameOf } from './upload';

export const artifact = (name: string, over: Partial<Artifact> = {}): Artifact => ({
  __typename: 'Artifact', name, kind: 'image', version: '', size: 1024, sha256: 'ab'.repeat(32), state: 'READY', problem: null, inPlace: false, registeredAt: at(0), inUseBy: [], ...over,
} as Artifact);

const all = [artifact('img-10'), artifact('img-2', { inUseBy: ['metal-7'] }), artifact('zz', { state: 'BROKEN', problem: 'its file is missing' })];

describe('the catalogue', () => {
  it('has what cannot be served first, then natural order', () => {
    expect(selectArtifacts(all, {}).map(({ name }) => name)).toEqual(['zz', 'img-2', 'img-10']);
  });
  it('is filtered by words and state', () => {
    expect(selectArtifacts(all, { q: 'METAL-7' }).map(({ name }) => name)).toEqual(['img-2']);
    expect(selectArtifacts(all, { q: 'img', show: 'unused' }).map(({ name }) => name)).toEqual(['img-10']);
    expect(countShows(all)).toEqual({ broken: 1, used: 1, unused: 2 });
  });
  it('takes from the URL what makes sense', () => {
    expect(parseArtifactsSearch({ q: 'x', show: 'broken', other: 1 })).toEqual({ q: 'x', show: 'broken' });
    expect(parseArtifactsSearch({ q: 7, show: 'all' })).toEqual({ q: '7' });
    expect(parseArtifactsSearch({ q: '' })).toEqual({});
  });
});

describe('what is about to be uploaded', () => {
  const good = { file: new Blob(['x']), name: 'vmlinuz', version: '7.0', sha256: '' };
  it('is held against the rules of the server', () => {
    expect(checkUpload(good)).toEqual({});
    expect(checkUpload({ ...good, sha256: ` ${'AB'.repeat(32)} ` })).toEqual({});
    expect(Object.keys(checkUpload({ file: null, name: '.hidden', version: 'ä', sha256: 'abc' }))).toEqual(['file', 'name', 'version', 'sha256']);
    expect(checkUpload({ ...good, file: new Blob([]) })).toHaveProperty('file');
    expect(checkUpload({ ...good, name: 'a/b' })).toHaveProperty('name');
    expect(checkUpload({ ...good, name: 'a'.repeat(129) })).toHaveProperty('name');
  });
  it('has a name and a kind proposed', () => {
    expect(nameOf('.Mein Abbild (2).img')).toBe('Mein-Abbild-2-.img');
    expect(checkUpload({ ...good, name: nameOf('..//ü hypervisor.iso') })).toEqual({});
    expect(['vmlinuz-6.1', 'initramfs.cpio', 'AHV.iso', 'cvm.qcow2', 'phoenix.iso', 'disk.raw'].map(kindOf)).toEqual(['kernel', 'initrd', 'hypervisor', 'cvm', 'installer', 'image']);
  });
});

/** As much of XMLHttpRequest as an upload uses. */
class PlayedRequest extends EventTarget {
  static last: PlayedRequest;
  upload = new EventTarget();
  headers: Record<string, string> = {};
  opened: string[] = [];
  sent: unknown = null;
  status = 0;
  responseText = '';
  constructor() {
    super();
    PlayedRequest.last = this;
  }
  open(...opened: string[]) {
    this.opened = opened;
  }
  setRequestHeader(name: string, value: string) {
    this.headers[name] = value;
  }
  getResponseHeader = (name: string) => (name === 'x-request-id' ? 'req-1' : null);
  send(sent: unknown) {
    this.sent = sent;
  }
  abort() {
    this.dispatchEvent(new Event('abort'));
  }
  progress(loaded: number, total: number) {
    this.upload.dispatchEvent(Object.assign(new Event('progress'), { loaded, total, lengthComputable: true }));
  }
  answer(status: number, body: string) {
    Object.assign(this, { status, responseText: body });
    this.dispatchEvent(new Event('load'));
  }
}

describe('an upload', () => {
  afterEach(() => vi.unstubAllGlobals());
  const begin = (over = {}) => {
    vi.stubGlobal('XMLHttpRequest', PlayedRequest);
    const parts: number[] = [];
    const controller = new AbortController();
    const file = new Blob(['12345678']);
    const result = putArtifact({ name: 'a+b.img', kind: 'cvm', version: '7 .0', sha256: '', file, ...over }, (part) => parts.push(part), controller.signal);
    return { result, parts, controller, file, request: PlayedRequest.last };
  };

  it('sends the file with what it is, and tells how far it is', async () => {
    const { result, parts, request, file } = begin({ sha256: 'ab'.repeat(32) });
    expect(request.opened).toEqual(['PUT', '/api/artifacts/a%2Bb.img?kind=cvm&version=7+.0']);
    expect(request.headers).toEqual({ 'content-type': 'application/octet-stream', 'x-checksum-sha256': 'ab'.repeat(32) });
    expect(request.sent).toBe(file);
    request.progress(2, 8);
    request.progress(8, 8);
    request.answer(201, JSON.stringify({ name: 'a+b.img', size: 8, sha256: 'cd', kind: 'cvm' }));
    expect(await result).toEqual({ answer: { name: 'a+b.img', size: 8, sha256: 'cd', created: true }, problem: null });
    expect(parts).toEqual([0.25, 1]);
    expect(request.headers).not.toHaveProperty('authorization');
  });

  it('says why it was refused, also when a proxy says it', async () => {
    const one = begin();
    one.request.answer(409, JSON.stringify({ error: 'it is in use', code: 'conflict' }));
    expect((await one.result)?.problem).toMatchObject({ status: 409, code: 'CONFLICT', message: 'it is in use', requestId: 'req-1' });
    const other = begin();
    other.request.answer(413, '<html>too large</html>');
    expect((await other.result)?.problem).toMatchObject({ status: 413, code: null, message: 'The server answered with status 413.' });
    const cut = begin();
    cut.request.dispatchEvent(new Event('error'));
    expect((await cut.result)?.problem?.message).toContain('connection ended');
  });

  it('is given up in silence', async () => {
    const { result, controller } = begin();
    controller.abort();
    expect(await result).toBeNull();
  });
});

describe('a removal', () => {
  afterEach(() => vi.unstubAllGlobals());
  it('is done, refused or unknown', async () => {
    const fetch = vi.fn<typeof globalThis.fetch>();
    vi.stubGlobal('fetch', fetch);
    fetch.mockResolvedValueOnce(new Response(null, { status: 204 }));
    expect(await deleteArtifact('a b')).toEqual({ answer: true, problem: null });
    expect(fetch.mock.calls[0]?.[0]).toBe('/api/artifacts/a%20b');
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({ method: 'DELETE' });
    fetch.mockResolvedValueOnce(new Response(JSON.stringify({ error: 'no', code: 'conflict', hint: 'wait' }), { status: 409, headers: { 'x-request-id': 'r' } }));
    expect((await deleteArtifact('a')).problem).toMatchObject({ code: 'CONFLICT', message: 'no. wait', requestId: 'r' });
    fetch.mockRejectedValueOnce(new TypeError('down'));
    expect((await deleteArtifact('a')).problem?.message).toContain('not known');
  });
});
