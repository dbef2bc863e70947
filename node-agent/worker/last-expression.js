'use strict';
// The value of an ES module that ends in an expression. A script with `await` at its top level is an ES module, and has
// no other way to say its value.

const { compilesAsModule } = require('./source.js');

const STATEMENT = /^\s*(?:function|class|async\s+function|\{|import(?!\s*[(.])|export|return|let|const|var)(?![\w$])/;
const CONTINUES = /^\s*(?:\+(?!\+)|-(?!-)|[([`/*.,?<>=&|^%]|in\b|instanceof\b)/; // a line that goes on with the line before
const MOST_STARTS = 200; // places that are tried, of each kind
const MOST_COMMENTS = 20; // at the end of a source

// withLastExpression makes the last expression of a module its default export. It returns undefined if the module ends
// in no expression, or has a default export. It only inserts the words `export default (` and `)`, in a place where a
// statement starts, so it changes nothing else that the source does.
function withLastExpression(given) {
  const source = withoutLastComments(given);
  for (const at of statementStarts(source)) {
    const head = source.slice(0, at);
    const tail = source.slice(at);
    if (STATEMENT.test(tail) || tail.trim() === '' || !isExpression(tail)) continue;
    const whole = `${head}export default (${tail}\n)`;
    if (!compilesAsModule(whole) || compilesAsModule(`${head}@`)) continue; // the second compiles only inside of a comment
    // Only a line break is between the two parts, and the tail may go on with the head.
    if (CONTINUES.test(tail) && !/[;}]\s*$/.test(head) && head.trim() !== '') return undefined;
    return whole;
  }
  return undefined;
}

const isExpression = (source) => compilesAsModule(`(${source}\n)`);

// statementStarts returns the places where the last statement may start, the earliest first: "a\n+ b" is one sum.
function statementStarts(source) {
  const all = [0];
  const unindented = [0];
  for (let i = 0; i < source.length; i++) {
    if (!/[;}\n\r]/.test(source[i])) continue;
    all.push(i + 1);
    if (/[\n\r]/.test(source[i]) && /[^\s)}\]]/.test(source[i + 1] ?? ' ')) unindented.push(i + 1);
  }
  return [...new Set([...all.slice(-MOST_STARTS), ...unindented.slice(-MOST_STARTS)])].sort((a, b) => a - b);
}

// withoutEnd removes the spaces and semicolons at the end of a source.
function withoutEnd(source) {
  let end = source.length;
  while (end > 0 && /[\s;]/.test(source[end - 1])) end--;
  return source.slice(0, end);
}

// withoutLastComments removes the comments at the end of a module. Text that only looks like a comment stays, since the
// module would not compile without it.
function withoutLastComments(given) {
  let source = withoutEnd(given);
  for (let i = 0; i < MOST_COMMENTS; i++) {
    const line = source.lastIndexOf('\n') + 1;
    const starts = source.endsWith('*/') ? [source.lastIndexOf('/*')] : [...source.slice(line).matchAll(/\/\//g)].map(({ index }) => line + index);
    const start = starts.find((at) => at >= 0 && compilesAsModule(source.slice(0, at)));
    if (start === undefined) return source;
    source = withoutEnd(source.slice(0, start));
  }
  return source;
}

module.exports = { withLastExpression, withoutEnd };
