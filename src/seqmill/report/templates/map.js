  document.documentElement.classList.add('live');
  document.querySelectorAll('.viewer').forEach(root => new Viewer(root));
})();
