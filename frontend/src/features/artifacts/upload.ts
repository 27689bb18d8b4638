/** Kinds that Slipway itself looks for, and the one for all else. */
export const kinds = ['kernel', 'initrd', 'hypervisor', 'cvm', 'installer', 'image'] as const;

/** What the server would refuse, told before a byte is sent. */
export interface UploadErrors {
  file?: string;
  name?: string;
  version?: string;
  sha256?: string;
}

/** Checks what is about to be sent, by the server's rules. */
export function checkUpload({ file, name, version, sha256 }: { file: Blob | null; name: string; version: string; sha256: string }): UploadErrors {
  const errors: UploadErrors = {};
  if (file === null) errors.file = 'Choose a file.';
  else if (file.size === 0) errors.file = 'This file is empty.';
  if (name === '') errors.name = 'A name is required.';
  else if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) errors.name = 'Letters, digits, dot, dash and underscore, at most 128, the first a letter or digit.';
  if (!/^[\x20-\x7e]{0,128}$/.test(version)) errors.version = 'At most 128 characters of plain ASCII.';
  const sum = sha256.trim();
  if (sum !== '' && !/^[0-9a-fA-F]{64}$/.test(sum)) errors.sha256 = 'A SHA-256 has 64 hexadecimal digits.';
  return errors;
}

/** A name for the catalogue from that of a file. */
export function nameOf(file: string): string {
  return file
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 128);
}

/** What a file probably is, by its name. */
export function kindOf(file: string): (typeof kinds)[number] {
  const name = file.toLowerCase();
  if (/vmlinu[xz]|bzimage|kernel/.test(name)) return 'kernel';
  if (/initrd|initramfs|rootfs/.test(name)) return 'initrd';
  if (/hypervisor|ahv/.test(name)) return 'hypervisor';
  if (/cvm|svm/.test(name)) return 'cvm';
  if (/\.iso$|installer|phoenix/.test(name)) return 'installer';
  return 'image';
}
