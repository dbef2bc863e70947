// A user's script: what to do when an order comes in.
const _ = require('lodash');

function onOrder(mail, event, cb) {
  const { customer, items, placed } = event.order;
  const total = _.sumBy(items, ({ price, count }) => price * count);
  console.log('order of', customer.name, 'with', _.size(items), 'items');
  cb(mail.compose(
    customer.address,
    'Dear {{name}}, you ordered {{list}} for {{total}} on {{date placed}}.',
    { name: customer.name, list: _.map(items, 'name').join(' and '), total, placed },
    `invoice-${_.kebabCase(customer.name)}.pdf`,
  ));
}
