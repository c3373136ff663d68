// before the first paint: the theme that the person chose, and whether the log-in form is shown
{
  const chosen = localStorage.getItem("zerocart-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  if (!sessionStorage.getItem("zerocart-session")) document.documentElement.dataset.login = "";
}
