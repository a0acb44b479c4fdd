/** Tokens and money as people read them. */

import type { UsageFieldsFragment } from '../../generated/graphql';

export const NO_USAGE: UsageFieldsFragment = { inputTokens: 0, outputTokens: 0, totalTokens: 0, cost: null, currency: null };

/** Add up; a cost only where all that cost something did so in one currency. */
export function sumOf(all: readonly UsageFieldsFragment[]): UsageFieldsFragment {
  const priced = all.filter(({ cost }) => cost !== null);
  const currencies = new Set(priced.map(({ currency }) => currency));
  const isPriced = currencies.size === 1;
  const sum = (read: (usage: UsageFieldsFragment) => number) => all.reduce((total, usage) => total + read(usage), 0);
  return {
    inputTokens: sum(({ inputTokens }) => inputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    totalTokens: sum(({ totalTokens }) => totalTokens),
    cost: isPriced ? String(sum(({ cost }) => Number(cost ?? 0))) : null,
    currency: isPriced ? (priced[0]?.currency ?? null) : null,
  };
}

const count = new Intl.NumberFormat('en');

/** Write what was used in short: `1,234 tokens · 0.0021 EUR`. */
export function tellUsage({ totalTokens, cost, currency }: UsageFieldsFragment): string {
  return `${count.format(totalTokens)} ${totalTokens === 1 ? 'token' : 'tokens'}${tellCost(cost, currency)}`;
}

/** Write what was used, what was given and what was got apart. */
export function tellUsageInFull({ inputTokens, outputTokens, totalTokens, cost, currency }: UsageFieldsFragment): string {
  return `${count.format(totalTokens)} (${count.format(inputTokens)} in, ${count.format(outputTokens)} out)${tellCost(cost, currency)}`;
}

function tellCost(cost: unknown, currency: string | null): string {
  if (cost === null || cost === undefined) return '';
  const amount = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(Number(cost));
  return ` · ${amount} ${currency ?? ''}`.trimEnd();
}
