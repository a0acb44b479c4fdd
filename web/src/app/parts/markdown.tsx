/** A message in Markdown, as elements: nothing of it is ever taken for HTML. */

import { type Block, blocksOf, type Inline } from './markdown-blocks';

export function Markdown({ text }: { readonly text: string }) {
  return (
    <div className="prose">
      {blocksOf(text).map((block, index) => (
        <BlockView key={index} block={block} />
      ))}
    </div>
  );
}

function BlockView({ block }: { readonly block: Block }) {
  switch (block.type) {
    case 'code':
      return <pre>{block.text}</pre>;
    case 'list': {
      const items = block.items.map((parts, index) => (
        <li key={index}>
          <Inlines parts={parts} />
        </li>
      ));
      return block.isOrdered ? <ol>{items}</ol> : <ul>{items}</ul>;
    }
    case 'quote':
      return (
        <blockquote>
          <Inlines parts={block.parts} />
        </blockquote>
      );
    case 'heading':
      return (
        <p>
          <strong>
            <Inlines parts={block.parts} />
          </strong>
        </p>
      );
    case 'paragraph':
      return (
        <p>
          <Inlines parts={block.parts} />
        </p>
      );
  }
}

function Inlines({ parts }: { readonly parts: readonly Inline[] }) {
  return parts.map((part, index) => {
    switch (part.type) {
      case 'text':
        return part.text;
      case 'code':
        return <code key={index}>{part.text}</code>;
      case 'strong':
        return <strong key={index}>{part.text}</strong>;
      case 'em':
        return <em key={index}>{part.text}</em>;
      case 'link':
        return (
          <a key={index} href={part.href} target="_blank" rel="noreferrer">
            {part.text}
          </a>
        );
    }
  });
}
