import { describe, expect, test } from 'vitest';
import { blocksOf, inlinesOf } from '../src/app/parts/markdown-blocks';

describe('a message in Markdown', () => {
  test('has paragraphs, headings, lists, quotes and code', () => {
    const text = '# Look\nIs it *good*,\nor not?\n\n- one\n- **two**\n\n1. first\n2) second\n> said\n> so\n```py\na < b\n\n```\nend';
    expect(blocksOf(text)).toEqual([
      { type: 'heading', parts: [{ type: 'text', text: 'Look' }] },
      { type: 'paragraph', parts: [{ type: 'text', text: 'Is it ' }, { type: 'em', text: 'good' }, { type: 'text', text: ',\nor not?' }] },
      { type: 'list', isOrdered: false, items: [[{ type: 'text', text: 'one' }], [{ type: 'strong', text: 'two' }]] },
      { type: 'list', isOrdered: true, items: [[{ type: 'text', text: 'first' }], [{ type: 'text', text: 'second' }]] },
      { type: 'quote', parts: [{ type: 'text', text: 'said\nso' }] },
      { type: 'code', text: 'a < b\n' },
      { type: 'paragraph', parts: [{ type: 'text', text: 'end' }] },
    ]);
  });

  test('links to pages and letters, and to nothing that a browser would run', () => {
    expect(inlinesOf('[here](https://example.com/a_b)')).toEqual([{ type: 'link', text: 'here', href: 'https://example.com/a_b' }]);
    expect(inlinesOf('see https://example.com/x.')).toEqual([
      { type: 'text', text: 'see ' },
      { type: 'link', text: 'https://example.com/x', href: 'https://example.com/x' },
      { type: 'text', text: '.' },
    ]);
    for (const evil of ['[x](javascript:alert(1))', '[x](data:text/html,y)', '<script>alert(1)</script>', '[x](//host)']) {
      expect(inlinesOf(evil)).toEqual([{ type: 'text', text: evil }]);
    }
  });

  test('keeps what is no Markdown as it is', () => {
    for (const text of ['2 * 3 * 4', 'a_b_c', 'a ** b', '`open', '']) expect(inlinesOf(text).map((part) => part.text).join('')).toBe(text);
    expect(blocksOf('```\nnever closed')).toEqual([{ type: 'code', text: 'never closed' }]);
    expect(blocksOf('\n \n')).toEqual([]);
  });

  test('is read in no time, however it is written', () => {
    const begin = performance.now();
    for (const piece of ['*a', '[a](', '**', '`', '> ', '- ', 'https://', '*[`', '[', 'a*']) blocksOf(piece.repeat(20_000));
    expect(performance.now() - begin).toBeLessThan(5_000);
  });
});
