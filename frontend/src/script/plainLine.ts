// ECMA-48: CSI (ESC [ … final), OSC and other strings (ESC ] … BEL or ESC \), and two-byte sequences; C1 forms too.
const sequences =
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*(?:[@-~]|$)|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|\u001b[ -/]*(?:[0-~]|$)/g;
// eslint-disable-next-line no-control-regex -- the same
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** A line of a terminal as it is read afterwards: without colours, and after a carriage return only what was written over it. */
export function plainLine(line: string): string {
  const text = line.replace(/\r+$/, '').replaceAll(sequences, '');
  return (text.includes('\r') ? text.slice(text.lastIndexOf('\r') + 1) : text).replaceAll(controls, '');
}
