// How the service calls the scripts of its users: with an object made from packages, the event that came
// (a global, like everything that comes from outside), and cb for what they answer.
function caller(callee, cb) {
  const dayjs = require('dayjs');
  const Handlebars = require('handlebars');
  const mime = require('mime-types');

  Handlebars.registerHelper('date', (time) => dayjs(time).format('D MMMM YYYY'));
  const mail = {
    compose: (to, template, data, file) => ({
      to,
      text: Handlebars.compile(template)(data),
      attached: { name: file, type: mime.lookup(file) || 'application/octet-stream' },
    }),
  };
  callee(mail, event, cb);
}
