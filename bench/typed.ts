type Identifier = string | number;

interface Address {
  readonly street: string;
  readonly town: string;
  readonly country?: string;
}

interface Customer {
  id: Identifier;
  name: string;
  addresses: readonly Address[];
  since: Date | null;
}

interface Article {
  id: Identifier;
  title: string;
  price: number;
  tags: Set<string>;
}

interface Line<T extends Article = Article> {
  article: T;
  count: number;
  discount?: (line: Line<T>) => number;
}

type State = 'open' | 'paid' | 'sent' | 'returned';

type Order = {
  customer: Customer;
  lines: Line[];
  state: State;
  history: Array<{ at: Date; from: State; to: State }>;
};

type Named<T> = { [Key in keyof T]: T[Key] extends string ? Key : never }[keyof T];

interface Shop {
  find(id: Identifier): Article | undefined;
  open(customer: Customer, ...lines: Line[]): Order;
  total(order: Pick<Order, 'lines'>): number;
}

declare const a: number;

type Callback<T> = (value: T) => void;

const price = <T extends Article>({ article, count, discount }: Line<T>, line: Line<T>): number =>
  article.price * count - (discount?.(line) ?? 0);

const total: Shop['total'] = (order) => order.lines.reduce((sum: number, line) => sum + price(line, line), 0);

function run(cb: Callback<number>): void {
  const article = { id: 1, title: 'pen', price: a, tags: new Set<string>() } satisfies Article;
  const first: Named<Article> = 'title';
  cb(total({ lines: [{ article, count: (first as string).length === 5 ? 2 : 0 }] }));
}
