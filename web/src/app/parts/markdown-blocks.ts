/** The part of Markdown that short messages are written in. Pure; what is not known stays text. */

export type Inline =
  | { readonly type: 'text' | 'code' | 'strong' | 'em'; readonly text: string }
  | { readonly type: 'link'; readonly text: string; readonly href: string };

export type Block =
  | { readonly type: 'heading' | 'paragraph' | 'quote'; readonly parts: readonly Inline[] }
  | { readonly type: 'code'; readonly text: string }
  | { readonly type: 'list'; readonly isOrdered: boolean; readonly items: readonly (readonly Inline[])[] };

const FENCE = /^ {0,3}```/;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const BULLET = /^\s{0,3}[-*+]\s+(.*)$/;
const NUMBER = /^\s{0,3}\d{1,9}[.)]\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?(.*)$/;
const BEGINNINGS = [FENCE, HEADING, BULLET, NUMBER, QUOTE];
// Addresses are the author's or a model's: only those that open a page or a letter become links.
// Bounded, so that an opening without its end costs no more than that.
const INLINE = /`([^`]{1,2000})`|\*\*([^*]{1,2000})\*\*|\*([^*\s](?:[^*]{0,2000}[^*\s])?)\*|\[([^\]]{1,500})\]\(((?:https?:\/\/|mailto:)[^\s)]+)\)|(https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?])/g;

export function blocksOf(text: string): readonly Block[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const blocks: Block[] = [];
  let at = 0;
  /** Take lines as long as they match, each without its mark. */
  const taken = (mark: RegExp): readonly string[] => {
    const begin = at;
    while (at < lines.length && mark.test(lines[at] ?? '')) at++;
    return lines.slice(begin, at).map((line) => mark.exec(line)?.[1] ?? '');
  };
  while (at < lines.length) {
    const line = lines[at] ?? '';
    const heading = HEADING.exec(line);
    if (line.trim() === '') at++;
    else if (FENCE.test(line)) {
      const begin = ++at;
      while (at < lines.length && !FENCE.test(lines[at] ?? '')) at++;
      blocks.push({ type: 'code', text: lines.slice(begin, at++).join('\n') });
    } else if (heading) {
      at++;
      blocks.push({ type: 'heading', parts: inlinesOf(heading[1] ?? '') });
    } else if (BULLET.test(line)) blocks.push({ type: 'list', isOrdered: false, items: taken(BULLET).map(inlinesOf) });
    else if (NUMBER.test(line)) blocks.push({ type: 'list', isOrdered: true, items: taken(NUMBER).map(inlinesOf) });
    else if (QUOTE.test(line)) blocks.push({ type: 'quote', parts: inlinesOf(taken(QUOTE).join('\n')) });
    else {
      const begin = at++;
      while (at < lines.length && isContinued(lines[at] ?? '')) at++;
      blocks.push({ type: 'paragraph', parts: inlinesOf(lines.slice(begin, at).join('\n')) });
    }
  }
  return blocks;
}

function isContinued(line: string): boolean {
  return line.trim() !== '' && !BEGINNINGS.some((mark) => mark.test(line));
}

export function inlinesOf(text: string): readonly Inline[] {
  const parts: Inline[] = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) parts.push({ type: 'text', text: text.slice(end, match.index) });
    parts.push(inlineOf(match));
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push({ type: 'text', text: text.slice(end) });
  return parts;
}

function inlineOf([, code, strong, em, title, href, bare = '']: RegExpExecArray): Inline {
  if (code !== undefined) return { type: 'code', text: code };
  if (strong !== undefined) return { type: 'strong', text: strong };
  if (em !== undefined) return { type: 'em', text: em };
  return href === undefined ? { type: 'link', text: bare, href: bare } : { type: 'link', text: title ?? href, href };
}
