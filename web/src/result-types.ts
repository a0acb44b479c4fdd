/** TypeScript types of an operation's variables and result, made from the schema. */

import {
  type DocumentNode,
  type FieldNode,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  typeFromAST,
} from 'graphql';
import type { Request } from './request';

/** Scalars that are not here may be anything. */
const SCALARS: Readonly<Record<string, string>> = {
  ID: 'string',
  String: 'string',
  Int: 'number',
  Float: 'number',
  Boolean: 'boolean',
  DateTime: 'string',
  Decimal: 'string',
};

interface Field {
  readonly nodes: readonly FieldNode[];
  /** Whether a directive or a fragment's may leave it out. */
  readonly isOptional: boolean;
}

/** Write the types `Variables` and `Data`, and those of the inputs that the variables need. */
export function typesOf({ operation, document }: Request, schema: GraphQLSchema): string {
  const root = schema.getRootType(operation.operation);
  if (!root) throw new Error(`The schema has no ${operation.operation}.`);
  const inputs = new Map<string, string>();
  const variables = (operation.variableDefinitions ?? []).map(({ variable, type, defaultValue }) => {
    const input = typeFromAST(schema, type as never) as GraphQLInputType | undefined;
    if (!input) throw new Error(`The schema has no type of $${variable.name.value}.`);
    const isOptional = !isNonNullType(input) || defaultValue !== undefined;
    return `  ${variable.name.value}${isOptional ? '?' : ''}: ${inputType(input, inputs)};`;
  });
  const data = new Results(schema, document).object(root, [operation.selectionSet], '', [root.name]);
  return [
    ...inputs.values(),
    variables.length > 0 ? `type Variables = {\n${variables.join('\n')}\n};` : 'type Variables = Record<string, never>;',
    `type Data = ${data};`,
  ].join('\n\n');
}

function inputType(type: GraphQLInputType, inputs: Map<string, string>): string {
  if (!isNonNullType(type)) return `${nullableInput(type, inputs)} | null`;
  return nullableInput(type.ofType, inputs);
}

function nullableInput(type: GraphQLInputType, inputs: Map<string, string>): string {
  if (isListType(type)) return `Array<${inputType(type.ofType, inputs)}>`;
  if (isEnumType(type)) return type.getValues().map(({ name }) => `'${name}'`).join(' | ');
  if (!isInputObjectType(type)) return SCALARS[(type as { name: string }).name] ?? 'unknown';
  if (!inputs.has(type.name)) {
    // Inputs may contain themselves: the name is taken before the fields are read.
    inputs.set(type.name, '');
    const fields = Object.values(type.getFields()).map((field) => {
      const isOptional = !isNonNullType(field.type) || field.defaultValue !== undefined;
      return `  ${field.name}${isOptional ? '?' : ''}: ${inputType(field.type, inputs)};`;
    });
    inputs.set(type.name, `type ${type.name} = {\n${fields.join('\n')}\n};`);
  }
  return type.name;
}

class Results {
  constructor(
    private readonly schema: GraphQLSchema,
    private readonly document: DocumentNode,
  ) {}

  /** The type of what an object answers; `names` are those that `__typename` may be. */
  object(type: GraphQLObjectType, sets: readonly SelectionSetNode[], indent: string, names: readonly string[]): string {
    const fields = new Map<string, Field>();
    for (const set of sets) this.#collect(type, set, false, fields);
    const lines = [...fields].map(([key, { nodes, isOptional }]) => {
      return `${indent}  ${key}${isOptional ? '?' : ''}: ${this.#field(type, nodes, `${indent}  `, names)};`;
    });
    return `{\n${lines.join('\n')}\n${indent}}`;
  }

  #collect(type: GraphQLObjectType, set: SelectionSetNode, isOptional: boolean, fields: Map<string, Field>): void {
    for (const selection of set.selections) {
      const mayLack = isOptional || (selection.directives ?? []).some(({ name }) => name.value === 'skip' || name.value === 'include');
      if (selection.kind === Kind.FIELD) {
        const key = (selection.alias ?? selection.name).value;
        const before = fields.get(key);
        fields.set(key, { nodes: [...(before?.nodes ?? []), selection], isOptional: mayLack && (before?.isOptional ?? true) });
        continue;
      }
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? this.#fragment(selection.name.value) : selection;
      if (fragment && this.#applies(fragment.typeCondition?.name.value, type)) this.#collect(type, fragment.selectionSet, mayLack, fields);
    }
  }

  #fragment(name: string) {
    return this.document.definitions.find((one) => one.kind === Kind.FRAGMENT_DEFINITION && one.name.value === name) as
      | Extract<DocumentNode['definitions'][number], { kind: Kind.FRAGMENT_DEFINITION }>
      | undefined;
  }

  #applies(condition: string | undefined, type: GraphQLObjectType): boolean {
    if (condition === undefined || condition === type.name) return true;
    const wanted = this.schema.getType(condition);
    return isAbstractType(wanted) && this.schema.isSubType(wanted, type);
  }

  #field(parent: GraphQLObjectType, nodes: readonly FieldNode[], indent: string, names: readonly string[]): string {
    const name = nodes[0]?.name.value ?? '';
    if (name === '__typename') return names.map((one) => `'${one}'`).join(' | ');
    const field = parent.getFields()[name];
    // The fields of introspection are not told by the root type.
    if (!field) return 'unknown';
    return this.#output(field.type, nodes.flatMap(({ selectionSet }) => selectionSet ?? []), indent);
  }

  #output(type: GraphQLOutputType, sets: readonly SelectionSetNode[], indent: string): string {
    if (!isNonNullType(type)) return `${this.#nullable(type, sets, indent)} | null`;
    return this.#nullable(type.ofType, sets, indent);
  }

  #nullable(type: GraphQLOutputType, sets: readonly SelectionSetNode[], indent: string): string {
    if (isListType(type)) return `Array<${this.#output(type.ofType, sets, indent)}>`;
    if (isEnumType(type)) return type.getValues().map(({ name }) => `'${name}'`).join(' | ');
    if (isObjectType(type)) return this.object(type, sets, indent, [type.name]);
    if (isAbstractType(type)) return this.#oneOf(this.schema.getPossibleTypes(type), sets, indent);
    return SCALARS[(type as { name: string }).name] ?? 'unknown';
  }

  /** Types that answer the same are told once. */
  #oneOf(types: readonly GraphQLObjectType[], sets: readonly SelectionSetNode[], indent: string): string {
    const alike = new Map<string, { first: GraphQLObjectType; names: string[] }>();
    for (const type of types) {
      const text = this.object(type, sets, indent, []);
      const group = alike.get(text);
      if (group) group.names.push(type.name);
      else alike.set(text, { first: type, names: [type.name] });
    }
    return [...alike.values()]
      .map(({ first, names }) => this.object(first, sets, indent, names))
      .join(' | ');
  }
}
