/** What a new workflow can begin with. */

import type { CreateWorkflowInput } from '../../generated/graphql';

interface Beginning {
  readonly title: string;
  readonly description: string;
  readonly name: string;
  readonly draft: Omit<CreateWorkflowInput, 'name'>;
}

export const BEGINNINGS: readonly Beginning[] = [
  {
    title: 'Two views, one answer',
    description: 'Asks a model twice at once, for and against, and lets it weigh both.',
    name: 'Two views',
    draft: {
      description: 'Asks a model for and against at once, then lets it weigh both.',
      inputSchema: {
        type: 'object',
        required: ['question'],
        properties: { question: { type: 'string', description: 'What is to be decided.', default: 'Should a small team write its own tools?' } },
      },
      output: [{ name: 'answer', value: '{{ nodes.weigh.output.text }}' }],
      graph: {
        nodes: [
          { key: 'for', name: 'For', position: { x: 0, y: 0 }, config: { llmCall: { prompt: 'Give one reason for it, in one sentence: {{ input.question }}', maxTokens: 80 } } },
          { key: 'against', name: 'Against', position: { x: 0, y: 160 }, config: { llmCall: { prompt: 'Give one reason against it, in one sentence: {{ input.question }}', maxTokens: 80 } } },
          {
            key: 'weigh',
            name: 'Weigh both',
            position: { x: 290, y: 80 },
            config: {
              llmCall: {
                prompt: 'Question: {{ input.question }}\nFor: {{ nodes.for.output.text }}\nAgainst: {{ nodes.against.output.text }}\nWeigh both and answer in two sentences.',
                maxTokens: 120,
              },
            },
          },
        ],
        edges: [
          { source: 'for', target: 'weigh' },
          { source: 'against', target: 'weigh' },
        ],
      },
    },
  },
  {
    title: 'Greeting',
    description: 'Computes a greeting without a model; the smallest graph that has an input and an output.',
    name: 'Greeting',
    draft: {
      description: 'Greets whoever is named.',
      inputSchema: { type: 'object', required: ['name'], properties: { name: { type: 'string', description: 'Who is greeted.', default: 'Ada' } } },
      output: [{ name: 'greeting', value: '{{ nodes.shout.output.greeting }}' }],
      graph: {
        nodes: [
          { key: 'greet', name: 'Greet', position: { x: 0, y: 0 }, config: { transform: { fields: [{ name: 'greeting', value: 'Hello, {{ input.name }}!' }] } } },
          { key: 'shout', name: 'Say it loudly', position: { x: 290, y: 0 }, config: { transform: { fields: [{ name: 'greeting', value: '{{ nodes.greet.output.greeting | upper }}' }] } } },
        ],
        edges: [{ source: 'greet', target: 'shout' }],
      },
    },
  },
  { title: 'Blank', description: 'An empty graph.', name: 'New workflow', draft: {} },
];
