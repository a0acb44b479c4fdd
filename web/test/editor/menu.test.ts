import { expect, test } from 'vitest';
import { matching } from '../../src/app/pages/workflow/command-menu';
import { summaryOf } from '../../src/app/pages/workflow/node-card';
import { node } from './fake_server';

const command = (title: string, detail = '') => ({ id: title, title, detail, run: () => undefined });

test('a command is found by its words in any order, those of the title first', () => {
  const commands = [command('Publish…', 'add a version'), command('Add Branch'), command('Add Transform', 'compute')];
  const titles = (typed: string) => matching(commands, typed).map(({ title }) => title);
  expect(titles('add')).toEqual(['Add Branch', 'Add Transform', 'Publish…']);
  expect(titles('branch add')).toEqual(['Add Branch']);
  expect(titles('nothing')).toEqual([]);
  expect(titles('')).toHaveLength(3);
});

test('a node says in short what tells it apart', () => {
  expect(summaryOf(node('a', { llmCall: { prompt: 'Hello' } }))).toBe('Hello');
  expect(summaryOf(node('a', { transform: { fields: [{ name: 'x' }, { name: 'y' }] } }))).toBe('x, y');
  expect(summaryOf(node('a', { dbWrite: { target: { externalTable: { table: 'sales' } } } }))).toBe('sales');
  expect(summaryOf(node('a', { digest: { text: 'of a plug-in' } }))).toBe('of a plug-in');
  expect(summaryOf(node('a', { wait: {} }))).toBe('');
});
