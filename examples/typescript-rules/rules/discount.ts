import type { Cents, Order, Rule } from './types.ts';

const COUPONS: Record<string, (subtotal: Cents) => Cents> = {
  TEN: (subtotal) => Math.round(subtotal / 10),
  FIVER: (subtotal) => Math.min(500, subtotal),
};

export const discount: Rule = (order: Order, subtotal: Cents): Cents => {
  if (order.coupon === undefined) return 0;
  const coupon = COUPONS[order.coupon];
  if (coupon === undefined) throw new RangeError(`no coupon ${order.coupon}`);
  return -coupon(subtotal);
};
