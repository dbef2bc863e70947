import { discount } from './discount.ts';
import { shipping } from './shipping.ts';
import { type Cents, type Order, type Rule } from './types.ts';

const rules = { discount, shipping } satisfies Record<string, Rule>;

export function quote(order: Order): { id: string; lines: Record<string, Cents>; total: Cents } {
  const goods = order.items.reduce((sum, { price, count }) => sum + price * count, 0);
  const lines: Record<string, Cents> = { goods };
  for (const [name, rule] of Object.entries(rules)) lines[name] = rule(order, goods);
  return { id: order.id, lines, total: Object.values(lines).reduce((a, b) => a + b) };
}
