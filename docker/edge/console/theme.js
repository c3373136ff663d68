// before the first paint: the theme that the person chose, on a page that has no content yet
{
  const chosen = localStorage.getItem("zerocart-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
