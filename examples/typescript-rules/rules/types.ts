export interface Order {
  id: string;
  country: string;
  items: { name: string; price: number; grams: number; count: number }[];
  coupon?: string;
}

// Cents, as everything that is money here.
export type Cents = number;
export type Rule = (order: Order, subtotal: Cents) => Cents;
