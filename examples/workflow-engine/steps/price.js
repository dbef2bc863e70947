async function price() {
  const { items } = await host.storageGet('order');
  const cents = items.reduce((sum, item) => sum + item.cents * item.count, 0);
  console.log('%d items come to %d cents', items.length, cents);
  await host.storagePut('total', cents);
}
