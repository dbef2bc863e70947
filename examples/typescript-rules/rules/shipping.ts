import rates from './rates.json' with { type: 'json' };
import type { Rule } from './types.ts';

type Rate = { upTo1000g: number; above: number };

export const shipping: Rule = (order) => {
  const rate = (rates as Record<string, Rate | undefined>)[order.country];
  if (!rate) throw new RangeError(`no shipping to ${order.country}`);
  const grams = order.items.reduce((sum, { grams, count }) => sum + grams * count, 0);
  return grams <= 1000 ? rate.upTo1000g : rate.above;
};
