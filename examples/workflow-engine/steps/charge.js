// Takes what it needs before it begins: once the connection is lost, its callbacks reject.
async function charge() {
  const [cents, key] = await Promise.all([host.storageGet('total'), host.secret('bank')]);
  await host.storagePut('charge', { cents });
  const signature = require('crypto').createHmac('sha256', key).update(String(cents)).digest('hex');
  console.log('asking the bank');
  await new Promise((answered) => setTimeout(answered, 500));
  console.log('the bank took %d cents', cents);
  return { receipt: crypto.randomUUID(), signature };
}
