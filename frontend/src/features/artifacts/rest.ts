import type { Problem } from '@/gql/client/ask';

/** A file on its way into the catalogue. */
export interface Upload {
  name: string;
  kind: string;
  version: string;
  /** What it must have, in lower-case hexadecimal digits; empty: whatever it has. */
  sha256: string;
  file: Blob;
}

/** What the server says that it has now. */
export interface Stored {
  name: string;
  size: number;
  sha256: string;
  /** There was none of this name before. */
  created: boolean;
}

/** What became of a call: an answer, or why not. */
export type Result<T> = { answer: T; problem: null } | { answer: null; problem: Problem & { status: number | null } };

const path = (name: string): string => `/api/artifacts/${encodeURIComponent(name)}`;

const failure = (status: number | null, code: string | null, message: string, requestId: string | null): { answer: null; problem: Problem & { status: number | null } } => ({
  answer: null,
  problem: { status, code, message, field: null, requestId },
});

/** The error that every endpoint answers with, as far as it can be read. */
function refusal(status: number, text: string, requestId: string | null) {
  try {
    const { error, code, hint } = JSON.parse(text) as { error?: unknown; code?: unknown; hint?: unknown };
    if (typeof error === 'string') return failure(status, typeof code === 'string' ? code.toUpperCase() : null, typeof hint === 'string' && hint !== '' ? `${error}. ${hint}` : error, requestId);
  } catch {
    // A proxy's page, or nothing: the status is all there is.
  }
  return failure(status, null, `The server answered with status ${status}.`, requestId);
}

const cut =
  'The connection ended before the file was there. The server may have refused it: compare the catalogue, and who still needs a file of this name. Nothing that the catalogue had before is lost.';

/**
 * Sends a file and tells how much of it has left, from 0 to 1. XMLHttpRequest,
 * as fetch does not tell. `signal` gives it up; then nothing is answered.
 */
export function putArtifact({ name, kind, version, sha256, file }: Upload, onProgress: (part: number) => void, signal: AbortSignal): Promise<Result<Stored> | null> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ kind, ...(version === '' ? {} : { version }) });
    request.open('PUT', `${path(name)}?${query.toString()}`);
    request.setRequestHeader('content-type', 'application/octet-stream');
    if (sha256 !== '') request.setRequestHeader('x-checksum-sha256', sha256);
    request.upload.addEventListener('progress', ({ loaded, total, lengthComputable }) => {
      if (lengthComputable && total > 0) onProgress(loaded / total);
    });
    request.addEventListener('load', () => {
      const { status, responseText } = request;
      if (status !== 200 && status !== 201) {
        resolve(refusal(status, responseText, request.getResponseHeader('x-request-id')));
        return;
      }
      const stored = JSON.parse(responseText) as Omit<Stored, 'created'>;
      resolve({ answer: { name: stored.name, size: stored.size, sha256: stored.sha256, created: status === 201 }, problem: null });
    });
    request.addEventListener('error', () => resolve(failure(null, null, cut, null)));
    request.addEventListener('abort', () => resolve(null));
    signal.addEventListener('abort', () => request.abort());
    if (signal.aborted) resolve(null);
    else request.send(file);
  });
}

/** Takes a file out of the catalogue. */
export async function deleteArtifact(name: string): Promise<Result<true>> {
  let response: Response;
  try {
    response = await fetch(path(name), { method: 'DELETE', credentials: 'same-origin', headers: { accept: 'application/json' } });
  } catch {
    return failure(null, null, 'The server could not be reached. Whether it was done is not known: look again.', null);
  }
  if (response.status === 204) return { answer: true, problem: null };
  return refusal(response.status, await response.text(), response.headers.get('x-request-id'));
}
