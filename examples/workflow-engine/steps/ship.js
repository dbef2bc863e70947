async function ship() {
  const { items } = await host.storageGet('order');
  const parcels = items.map(({ name, count }) => `${count} × ${name}`);
  console.log('packed', parcels);
  await host.storagePut('shipment', parcels);
}
