// The risk of a payment, from 0 to 100.
function score({ amount, country, attempts = 1 }) {
  if (typeof amount !== 'number') throw new TypeError('amount has to be a number');
  if (country !== 'DE') console.warn(`from abroad: ${country}`);
  return Math.min(100, Math.round(amount / 100) + 20 * (attempts - 1) + (country === 'DE' ? 0 : 15));
}
